"""What `make stubs` writes from `tenure_etcd.proto`."""
