package files

import (
	"container/list"
	"sync"
)

// entryCost is what an entry takes beside its octets and its name, roughly.
const entryCost = 512

// cache holds small files, the least recently used one goes first. A file that has changed misses:
// the identity is compared at every look.
type cache struct {
	mu      sync.Mutex
	limit   int64 // octets
	used    int64
	entries map[string]*list.Element // of *entry
	recent  list.List                // most recently used first
}

type entry struct {
	name string
	body *body
}

func (e *entry) cost() int64 { return e.body.size + int64(len(e.name)) + entryCost }

func newCache(limit int64) *cache {
	return &cache{limit: limit, entries: make(map[string]*list.Element)}
}

// get returns the file if it is still the one with this identity, else nil.
func (c *cache) get(name string, id ident) *body {
	c.mu.Lock()
	defer c.mu.Unlock()
	el := c.entries[name]
	if el == nil {
		return nil
	}
	e := el.Value.(*entry)
	if e.body.id != id {
		c.drop(el)
		return nil
	}
	c.recent.MoveToFront(el)
	return e.body
}

// put keeps b, which must be in memory and never change, if there is room for it at all.
func (c *cache) put(name string, b *body) {
	e := &entry{name, b}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.entries[name]; old != nil {
		c.drop(old)
	}
	if e.cost() > c.limit {
		return
	}
	for c.used+e.cost() > c.limit {
		c.drop(c.recent.Back())
	}
	c.used += e.cost()
	c.entries[name] = c.recent.PushFront(e)
}

func (c *cache) drop(el *list.Element) {
	e := c.recent.Remove(el).(*entry)
	delete(c.entries, e.name)
	c.used -= e.cost()
}
