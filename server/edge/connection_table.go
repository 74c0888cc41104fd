package edge

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"sync"
)

// connectionTable keeps the open connections by network, and knows which of them
// can make room for others.
type connectionTable struct {
	total, perNetwork int

	mu   sync.Mutex
	open int
	from map[string]*networkConnections
}

// networkConnections are those of one network. Its lists hold *limitedConn, the
// one that has been idle for longest first.
type networkConnections struct {
	open int
	// strangers are not trusted, and have no request open whose body was read.
	strangers list.List
	// idle are trusted, and have no request open.
	idle list.List
}

// connectionPlace is what the table keeps of a connection.
type connectionPlace struct {
	in      *networkConnections // nil: the connection is not in the table
	list    *list.List          // nil: it cannot make room now
	element *list.Element
	trusted bool
	open    int // requests whose head has arrived
	working int // requests whose body was read
}

func newConnectionTable(total, perNetwork int) *connectionTable {
	return &connectionTable{total: total, perNetwork: perNetwork, from: map[string]*networkConnections{}}
}

// admission is the outcome for a new connection.
type admission struct {
	// beyond is the bound that was reached, empty for none.
	beyond string
	// closed is the connection to close: another one, or the new one itself.
	closed *limitedConn
	// open is how many connections there are.
	open int
}

// admit takes a connection in, and returns which one has to go for it.
func (t *connectionTable) admit(c *limitedConn) admission {
	t.mu.Lock()
	defer t.mu.Unlock()
	outcome := admission{open: t.open}
	own := t.from[c.network]
	switch {
	case own != nil && !c.fromProxy && own.open >= t.perNetwork:
		outcome.beyond, outcome.closed = BeyondAddress, own.longestIdle()
	case t.open >= t.total:
		outcome.beyond, outcome.closed = BeyondTotal, t.longestIdle()
	}
	if outcome.beyond != "" {
		if outcome.closed == nil {
			outcome.closed = c
			return outcome
		}
		t.removeLocked(outcome.closed)
	}
	if own = t.from[c.network]; own == nil {
		own = &networkConnections{}
		t.from[c.network] = own
	}
	t.open++
	own.open++
	c.place = connectionPlace{in: own}
	c.settle()
	return outcome
}

// longestIdle returns the connection of this network that makes room, or nil.
func (n *networkConnections) longestIdle() *limitedConn {
	for _, those := range []*list.List{&n.strangers, &n.idle} {
		if first := those.Front(); first != nil {
			connection, _ := first.Value.(*limitedConn)
			return connection
		}
	}
	return nil
}

// longestIdle returns the connection that makes room, or nil: a stranger's where
// there is one, and of the network that has the most of its kind.
func (t *connectionTable) longestIdle() *limitedConn {
	var most *networkConnections
	more := func(a, b *networkConnections) bool {
		if a.strangers.Len() != b.strangers.Len() {
			return a.strangers.Len() > b.strangers.Len()
		}
		return a.strangers.Len() == 0 && a.idle.Len() > b.idle.Len()
	}
	for _, candidate := range t.from {
		if most == nil || more(candidate, most) {
			most = candidate
		}
	}
	if most == nil {
		return nil
	}
	return most.longestIdle()
}

func (t *connectionTable) remove(c *limitedConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removeLocked(c)
}

func (t *connectionTable) removeLocked(c *limitedConn) {
	own := c.place.in
	if own == nil {
		return
	}
	c.takeOut()
	c.place.in = nil
	t.open--
	if own.open--; own.open == 0 {
		delete(t.from, c.network)
	}
}

func (c *limitedConn) takeOut() {
	if c.place.list != nil {
		c.place.list.Remove(c.place.element)
		c.place.list, c.place.element = nil, nil
	}
}

// settle puts a connection at the end of the list where it belongs now.
func (c *limitedConn) settle() {
	c.takeOut()
	switch place := &c.place; {
	case place.in == nil, place.working > 0, place.trusted && place.open > 0:
		return
	case place.trusted:
		place.list = &place.in.idle
	default:
		place.list = &place.in.strangers
	}
	c.place.element = c.place.list.PushBack(c)
}

func (c *limitedConn) change(how func(*connectionPlace)) {
	if c == nil {
		return
	}
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	how(&c.place)
	c.settle()
}

// begin counts a request whose head has arrived, until the function that it returns
// is called.
func (c *limitedConn) begin() (end func()) {
	c.change(func(p *connectionPlace) { p.open++ })
	return func() { c.change(func(p *connectionPlace) { p.open-- }) }
}

// work counts a request whose body was read, until the function that it returns is
// called.
func (c *limitedConn) work() (end func()) {
	c.change(func(p *connectionPlace) { p.working++ })
	return func() { c.change(func(p *connectionPlace) { p.working-- }) }
}

// Trust marks the connection of a request's context as one whose client is known,
// so that strangers have to make room first.
func Trust(ctx context.Context) {
	connectionOf(ctx).change(func(p *connectionPlace) { p.trusted = true })
}

type connectionKey struct{}

// withConnection puts the connection of a request into its context, if it is one of
// [LimitConnections].
func withConnection(ctx context.Context, c net.Conn) context.Context {
	for {
		switch conn := c.(type) {
		case *limitedConn:
			return context.WithValue(ctx, connectionKey{}, conn)
		case interface{ NetConn() net.Conn }: // TLS
			c = conn.NetConn()
		default:
			return ctx
		}
	}
}

// connectionOf returns the connection of a request's context, or nil, which has the
// same methods.
func connectionOf(ctx context.Context) *limitedConn {
	connection, _ := ctx.Value(connectionKey{}).(*limitedConn)
	return connection
}

// CountActivity keeps track of which connections have requests open.
func CountActivity(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer connectionOf(r.Context()).begin()()
		next.ServeHTTP(w, r)
	})
}
