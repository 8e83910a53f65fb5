package netlink

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	vnl "github.com/vishvananda/netlink"
)

// Left returns what of ours is in this network namespace, in words: addresses,
// routes and rules with our mark, links that we made, and our tables. Addresses
// that were added under a kernel older than 5.18 bear no mark and are not known
// here.
func Left() ([]string, error) {
	var left []string
	there, err := list()
	if err != nil {
		return nil, err
	}
	for _, a := range there {
		if a.marked() {
			left = append(left, a.String())
		}
	}
	links, err := vnl.LinkList()
	if err != nil && !errors.Is(err, vnl.ErrDumpInterrupted) {
		return left, fmt.Errorf("listing the host's links: %w", err)
	}
	for _, link := range links {
		if a := link.Attrs(); a.Alias == alias && link.Type() == kindDummy {
			left = append(left, "link "+a.Name)
		}
	}
	tables, err := leftTables()
	return append(left, tables...), err
}

// leftTables is Left's part for tables.
func leftTables() (left []string, err error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, err
	}
	for _, l := range layers() {
		there, err := l.differs(conn, nil)
		if err = explainTables(err); errors.Is(err, ErrNoTables) {
			return nil, nil
		}
		if err != nil {
			return left, fmt.Errorf("listing the host's tables: %w", err)
		}
		if there {
			left = append(left, "nftables table "+l.name+" "+tableName)
		}
	}
	return left, nil
}
