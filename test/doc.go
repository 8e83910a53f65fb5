// Package test plays the whole daemon against real peers in network namespaces:
// routers (BIRD), name servers (BIND), and IKE clients and gateways (strongSwan,
// libreswan).
// It never uses the machine's own network, and never mocks what it can run.
package test
