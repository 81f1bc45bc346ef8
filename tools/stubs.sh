#!/bin/sh
# Writes src/tenure/store/etcd/proto/tenure_etcd_pb2.py from the .proto beside it.
# usage: stubs.sh PYTHON
# The compiler is an old one on purpose: what it writes works with every protobuf from 4.21 on, while a newer one's output
# refuses every protobuf that is older than itself.
set -eu
cd "$(dirname "$0")/.."
python=$1
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"$python" -m venv "$tools"
"$tools/bin/python" -m pip install -q "grpcio-tools==1.51.3" "setuptools<70"
cd src/tenure/store/etcd/proto
"$tools/bin/python" -m grpc_tools.protoc -I. --python_out=. tenure_etcd.proto
