package config

import (
	"net/netip"
	"time"
)

// file is the file as it is written. Its tags are the whole schema of single
// keys: toml, the key; default, its value where it is absent (a list's elements
// apart by blanks); oneof, the words it takes; range, the numbers or durations it takes;
// required, that it must be there, and the hint if it is not.
type file struct {
	Node     nodeTable       `toml:"node"`
	Anycast  anycastTable    `toml:"anycast"`
	IKE      ikeTable        `toml:"ike"`
	Policy   policyTable     `toml:"policy"`
	Gateway  []gatewayTable  `toml:"gateway"`
	Pool     []poolTable     `toml:"pool"`
	BGP      bgpTable        `toml:"bgp"`
	DNS      dnsTable        `toml:"dns"`
	Discover []discoverTable `toml:"discover"`
	Report   reportTable     `toml:"report"`
	Control  controlTable    `toml:"control"`
}

type nodeTable struct {
	Name     string `toml:"name"`
	StateDir string `toml:"state_dir" default:"/var/lib/anycastd"`
}

type anycastTable struct {
	Prefixes  []netip.Prefix `toml:"prefixes"`
	Addresses []netip.Addr   `toml:"addresses"`
	Interface string         `toml:"interface" default:"anycast0"`

	AnyIP         bool  `toml:"anyip" default:"false"`
	ReplyTable    int64 `toml:"reply_table" default:"0" range:"0 4294967295"`
	ReplyPriority int64 `toml:"reply_priority" default:"1000" range:"1 32765"`
}

type ikeTable struct {
	Ports        []int64  `toml:"ports" default:"500 4500" range:"1 65535"`
	Sockets      int64    `toml:"sockets" default:"0" range:"0 1024"`
	Cookie       string   `toml:"cookie" default:"auto" oneof:"never auto always"`
	CookieAbove  int64    `toml:"cookie_above" default:"20000" range:"0 2147483647"`
	CookieSecret string   `toml:"cookie_secret_file"`
	Unsupported  string   `toml:"unsupported" default:"drop" oneof:"drop refuse"`
	PortConflict string   `toml:"port_conflict" default:"fail" oneof:"fail nft"`
	ReplyLimit   int64    `toml:"reply_limit" default:"1000000" range:"0 2147483647"`
	SourceLimit  int64    `toml:"reply_limit_source" default:"1000" range:"0 2147483647"`
	ErrorLimit   int64    `toml:"error_limit" default:"100" range:"0 2147483647"`
	XDP          xdpTable `toml:"xdp"`
}

type xdpTable struct {
	Interfaces []string `toml:"interfaces"`
	Mode       string   `toml:"mode" default:"auto" oneof:"auto native generic"`
}

type policyTable struct {
	Choose     string        `toml:"choose" default:"sticky" oneof:"sticky least-loaded self-first"`
	Key        string        `toml:"key" default:"source" oneof:"source source+spi"`
	Seed       string        `toml:"seed"`
	Overload   float64       `toml:"overload" default:"0.9"`
	StaleAfter time.Duration `toml:"stale_after" default:"15s" range:"1s 1h"`
	Unserved   string        `toml:"unserved" default:"drop" oneof:"drop refuse"`
	Site       siteTable     `toml:"site"`
}

type siteTable struct {
	MinGateways    int64         `toml:"min_gateways" default:"0" range:"0 65535"`
	WhenShort      string        `toml:"when_short" default:"ignore" oneof:"ignore worse withdraw"`
	Overload       float64       `toml:"overload" default:"0.85"`
	OverloadFor    time.Duration `toml:"overload_for" default:"30s"`
	Relief         float64       `toml:"relief" default:"0.6"`
	ReliefFor      time.Duration `toml:"relief_for" default:"5m"`
	WhenOverloaded string        `toml:"when_overloaded" default:"ignore" oneof:"ignore worse withdraw"`
	WhenDark       string        `toml:"when_dark" default:"withdraw" oneof:"ignore worse withdraw"`
	Hold           time.Duration `toml:"hold" default:"10s" range:"0s 10m"`
}

type gatewayTable struct {
	Name       string        `toml:"name" required:"give it one, such as name = \"fra-gw1\""`
	Addresses  []netip.Addr  `toml:"addresses"`
	FQDN       string        `toml:"fqdn"`
	RedirectBy string        `toml:"redirect_by" default:"address" oneof:"address fqdn"`
	Weight     int64         `toml:"weight" default:"100" range:"0 65535"`
	Capacity   int64         `toml:"capacity" default:"0" range:"0 2147483647"`
	Self       bool          `toml:"self" default:"false"`
	Probe      probeTable    `toml:"probe"`
	VICI       string        `toml:"vici"`
	VICIEvery  time.Duration `toml:"vici_every" default:"1s" range:"100ms 1h"`
}

type probeTable struct {
	Every   time.Duration `toml:"every" default:"1s"`
	Timeout time.Duration `toml:"timeout" default:"500ms"`
	Rise    int64         `toml:"rise" default:"2" range:"1 1000"`
	Fall    int64         `toml:"fall" default:"3" range:"1 1000"`
	Kind    string        `toml:"kind" default:"version" oneof:"version proposal init"`
}

type poolTable struct {
	Name       string         `toml:"name" required:"give it one, such as name = \"gold\""`
	Gateways   []string       `toml:"gateways" required:"say which gateways serve it, by their names"`
	Sources    []netip.Prefix `toml:"sources"`
	Identities []string       `toml:"identities"`
	Fallback   []string       `toml:"fallback"`
}

type bgpTable struct {
	ASN        int64           `toml:"asn" range:"1 4294967295"`
	RouterID   netip.Addr      `toml:"router_id"`
	ListenPort int64           `toml:"listen_port" default:"-1" range:"-1 65535"`
	Listen     []netip.Addr    `toml:"listen_addresses"`
	Learn      string          `toml:"learn" default:"none" oneof:"none gateways"`
	DrainWait  time.Duration   `toml:"drain_wait" default:"5s"`
	Settle     time.Duration   `toml:"settle" default:"2s"`
	NextHop    []netip.Addr    `toml:"next_hop"`
	Announce   attributesTable `toml:"announce"`
	Worse      attributesTable `toml:"worse"`
	Defaults   defaultsTable   `toml:"defaults"` // before neighbor, so that its faults are noted as its own
	Neighbor   []neighborTable `toml:"neighbor"`
}

type attributesTable struct {
	Communities []string `toml:"communities"`
	Large       []string `toml:"large_communities"`
	Extended    []string `toml:"extended_communities"`
	MED         int64    `toml:"med" default:"0" range:"0 4294967295"`
	LocalPref   int64    `toml:"local_pref" range:"0 4294967295"` // only if given
	Prepend     int64    `toml:"prepend" default:"0" range:"0 16"`
}

// defaultsTable is what neighbors take that do not say it themselves.
type defaultsTable struct {
	ASN int64 `toml:"asn" range:"1 4294967295"`
	sessionTable
}

type neighborTable struct {
	Address netip.Addr `toml:"address" required:"say whom to peer with, such as address = \"192.0.2.1\""`
	ASN     int64      `toml:"asn" range:"1 4294967295" required:"say the neighbor's AS number, such as asn = 64500, here or in [bgp.defaults]"`
	sessionTable
}

// sessionTable is what neighbors may have in common.
type sessionTable struct {
	Port            int64         `toml:"port" default:"179" range:"1 65535"`
	PasswordFile    string        `toml:"password_file"`
	LocalAddress    netip.Addr    `toml:"local_address"`
	Interface       string        `toml:"interface"`
	Passive         bool          `toml:"passive" default:"false"`
	Multihop        int64         `toml:"multihop" default:"0" range:"0 255"`
	TTLSecurity     bool          `toml:"ttl_security" default:"false"`
	HoldTime        time.Duration `toml:"hold_time" default:"9s" range:"3s 65535s"`
	KeepaliveTime   time.Duration `toml:"keepalive_time" default:"0s" range:"0s 21845s"`
	ConnectRetry    time.Duration `toml:"connect_retry" default:"5s" range:"1s 1h"`
	Families        []string      `toml:"families" oneof:"ipv4 ipv6"`
	NextHop         netip.Addr    `toml:"next_hop"`
	MaxPrefixes     int64         `toml:"max_prefixes" default:"0" range:"0 2147483647"`
	GracefulRestart time.Duration `toml:"graceful_restart" default:"0s" range:"0s 4095s"`
}

type dnsTable struct {
	TTL   int64       `toml:"ttl" default:"300" range:"0 2147483647"` // RFC 2181 section 8
	Zone  []zoneTable `toml:"zone"`
	Serve serveTable  `toml:"serve"`
}

type zoneTable struct {
	Name     string     `toml:"name" required:"say which zone to update, such as name = \"example.net.\""`
	Server   string     `toml:"server"`
	TSIG     *tsigTable `toml:"tsig"`
	Names    []string   `toml:"names"`
	Gateways bool       `toml:"gateways" default:"false"`
}

type tsigTable struct {
	Name       string `toml:"name"`
	Algorithm  string `toml:"algorithm" oneof:"hmac-sha1 hmac-sha224 hmac-sha256 hmac-sha384 hmac-sha512"`
	SecretFile string `toml:"secret_file" required:"say which file holds the secret, in base64 or as a key clause"`
}

type serveTable struct {
	Listen []string `toml:"listen"`
}

type discoverTable struct {
	Name string `toml:"name" required:"say which SRV name to ask for, such as name = \"_ike-gateways._udp.vpn.example.net.\""`
	Pool string `toml:"pool"`
}

type reportTable struct {
	Listen       string `toml:"listen"`
	SecretFile   string `toml:"secret_file"`
	CertFile     string `toml:"cert_file"`
	KeyFile      string `toml:"key_file"`
	ClientCAFile string `toml:"client_ca_file"`
}

type controlTable struct {
	Socket string `toml:"socket" default:"/run/anycastd/control.sock"`
	HTTP   string `toml:"http" default:"127.0.0.1:9650"`
}
