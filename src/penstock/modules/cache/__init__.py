"""`proxy_cache` and its kin: answers of backends that are kept, for every family of modules that pass requests on."""
