#!/bin/sh
# The places that configurations name, made so that a user who is not root can use them: whoever it is, as long as its
# group is 0 (`docker run --user`, OpenShift). Run once, as root, while the image is made; $1 is the user.
set -e

# Pid files and control sockets.
install -d -o "$1" -g 0 -m 0775 /run /run/penstock /run/nginx
[ -e /var/run ] || ln -s /run /var/run

# Bodies that are too large for memory.
install -d -o "$1" -g 0 -m 0775 /var/cache/penstock /var/cache/nginx /var/lib/penstock /var/lib/nginx

# Logs go where `docker logs` finds them.
for folder in /var/log/penstock /var/log/nginx /etc/penstock/logs /etc/nginx/logs; do
    install -d -o "$1" -g 0 -m 0775 "$folder"
    ln -sf /dev/stdout "$folder/access.log"
    ln -sf /dev/stderr "$folder/error.log"
done
install -d /etc/nginx/conf.d /etc/penstock/conf.d
