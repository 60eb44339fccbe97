package signin

import (
	"net/http"
	"net/netip"
	"strings"
)

// person reads who the proxy says it is. The headers of anybody else are not looked at; a header given twice is one that the
// visitor sent and the proxy did not take off, so nobody is named.
func (c *Proxy) person(r *http.Request) (Person, bool) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !c.trusts(from.Addr()) {
		return Person{}, false
	}
	names, lists := r.Header.Values(c.UserHeader), r.Header.Values(c.GroupsHeader)
	if len(names) != 1 || len(lists) > 1 {
		return Person{}, false
	}
	name := clean(names[0])
	if name == "" || name != strings.TrimSpace(names[0]) {
		return Person{}, false
	}
	p := Person{Name: name, Subject: name, Via: ViaProxy}
	if len(lists) == 1 {
		for g := range strings.SplitSeq(lists[0], c.Separator) {
			p.Groups = addGroup(p.Groups, g)
		}
	}
	return p, true
}

func (c *Proxy) trusts(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range c.allowed {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
