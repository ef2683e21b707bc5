"""The phases of a request, in their order, as in nginx; a handler is compiled into a location only where it is wanted.

POST_READ to CONTENT answer or decline. HEADERS sees every answer before its head is written, and may change its body.
LOG runs when all has been sent or the tunnel has ended.
"""

POST_READ = 0
SERVER_REWRITE = 1
REWRITE = 2
PREACCESS = 3
ACCESS = 4
PRECONTENT = 5
CONTENT = 6
HEADERS = 7
LOG = 8
COUNT = 9
