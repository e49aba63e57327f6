#!/usr/bin/env bash
# Starts Ceph's S3 gateway over a cluster of one monitor, one manager and one object store in memory, all in an empty folder and of one user's:
#     tests/radosgw/start.sh FOLDER PORT ACCESS-KEY SECRET-KEY
# Ends once the gateway answers. `kill $(cat FOLDER/run/*.pid)` ends all four. Needs Debian's ceph-mon, ceph-mgr, ceph-osd, radosgw, ceph-common.
set -euo pipefail
folder=$1 port=$2 access=$3 secret=$4
cluster=$(cat /proc/sys/kernel/random/uuid)
monitor=v2:127.0.0.1:$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir -p "$folder"/{mon,mgr,osd,rgw,run}
export CEPH_CONF=$folder/ceph.conf
cat > "$CEPH_CONF" <<CONF
[global]
fsid = $cluster
mon host = $monitor
keyring = $folder/keyring
mon data = $folder/mon
mgr data = $folder/mgr
osd data = $folder/osd
rgw data = $folder/rgw
run dir = $folder/run
pid file = $folder/run/\$name.pid
admin socket = $folder/run/\$name.asok
log file = $folder/run/\$name.log
osd objectstore = memstore
memstore device bytes = 2G
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
mon allow pool size one = true
rgw frontends = beast endpoint=127.0.0.1:$port
CONF
ceph-authtool --create-keyring "$folder/keyring" --gen-key -n mon. --cap mon 'allow *'
for daemon in client.admin client.rgw mgr.a osd.0; do
    ceph-authtool "$folder/keyring" --gen-key -n "$daemon" --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
done
monmaptool --create --addv a "[$monitor]" --fsid "$cluster" "$folder/monmap"
ceph-mon --mkfs -i a --monmap "$folder/monmap" --keyring "$folder/keyring"
ceph-mon -i a
ceph osd create
ceph-osd -i 0 --mkfs
ceph-osd -i 0
ceph-mgr -i a
radosgw -n client.rgw
radosgw-admin user create --uid=dreamsweep --display-name=dreamsweep --access-key="$access" --secret-key="$secret" > /dev/null
