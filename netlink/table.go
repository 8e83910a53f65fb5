package netlink

import (
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// differs says whether the kernel's table is other than want. What is there
// and can't be read is not of our making.
func (l layer) differs(conn *nftables.Conn, want *content) (bool, error) {
	tables, err := conn.ListTablesOfFamily(l.table.Family)
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(tables, func(t *nftables.Table) bool { return t.Name == tableName })
	if i < 0 || want == nil {
		return i >= 0 || want != nil, nil
	}
	is, err := l.read(conn)
	if err != nil {
		return true, nil
	}
	is.flags = tables[i].Flags
	return !slices.Equal(is.lines(), want.lines()), nil
}

// read returns what the kernel's table holds of what ours have.
func (l layer) read(conn *nftables.Conn) (*content, error) {
	chains, err := conn.ListChainsOfTableFamily(l.table.Family)
	if err != nil {
		return nil, err
	}
	c := &content{elements: map[string][]nftables.SetElement{}}
	for _, ch := range chains {
		if ch.Table.Name != tableName {
			continue
		}
		rules, err := conn.GetRules(l.table, ch)
		if err != nil {
			return nil, err
		}
		c.chains, c.rules = append(c.chains, ch), append(c.rules, rules...)
	}
	for _, set := range []string{private, boundPort, service} {
		if c.elements[set], err = conn.GetSetElements(&nftables.Set{Table: l.table, Name: set}); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// lines describes the content so that equal ones have equal descriptions.
func (c *content) lines() []string {
	lines := []string{fmt.Sprintf("table, flags %d", c.flags)}
	for _, ch := range c.chains {
		lines = append(lines, fmt.Sprintf("chain %s %s %v %v %v", ch.Name, ch.Type, value(ch.Hooknum), value(ch.Priority), value(ch.Policy)))
	}
	for i, r := range c.rules {
		line := fmt.Sprintf("rule %d %s %x", i, r.Chain.Name, r.UserData)
		for _, e := range r.Exprs {
			b, err := expr.Marshal(byte(r.Table.Family), e)
			line += fmt.Sprintf(" %x %v", b, err)
		}
		lines = append(lines, line)
	}
	for set, elements := range c.elements {
		for _, e := range elements {
			lines = append(lines, fmt.Sprintf("element %s %x %x", set, e.Key, e.Val))
		}
	}
	slices.Sort(lines)
	return lines
}

// value is what p points to, nil if that is nothing.
func value[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

// replace makes want the table in conn's transaction, whatever is there.
func (l layer) replace(conn *nftables.Conn, want *content) error {
	conn.AddTable(l.table) // can be removed only if it is there
	conn.DelTable(l.table)
	if want == nil {
		return nil
	}
	conn.AddTable(l.table)
	for _, s := range want.sets {
		if err := conn.AddSet(s, want.elements[s.Name]); err != nil {
			return err
		}
	}
	for _, ch := range want.chains {
		conn.AddChain(ch)
	}
	for _, r := range want.rules {
		conn.AddRule(r)
	}
	return nil
}
