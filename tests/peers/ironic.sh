#!/bin/bash
# ironic.sh PROGRAMS CONFIG DIR: runs Ironic with CONFIG and DIR/ironic.conf for as long as standard
# input is open: it ends with whoever holds the other end, however that ends. Then DIR is removed, and
# what else the lines of standard input named.
set -u
programs=$1 config=(--config-file "$2" --config-file "$3/ironic.conf") remove=("$3")

mkdir -p "$3"/{http,tftp,lock}
"$programs/ironic-dbsync" "${config[@]}" create_schema >"$3/ironic.out" 2>&1 &&
    exec 2>>"$3/ironic.out" # bash itself tells there how Ironic ended
setsid setpriv --pdeathsig KILL -- "$programs/ironic" "${config[@]}" >>"$3/ironic.out" 2>&1 </dev/null &
while read -r line; do remove+=("$line"); done
kill -KILL -- -$!
wait
# Others write there until they notice that they are to end.
until rm -rf -- "${remove[@]}"; do :; done
