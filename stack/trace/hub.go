package trace

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Hub hands the events of a stack to any number of rings. While there is none the stack has no tracer and pays nothing.
type Hub struct {
	set   func(func(*Event))
	mu    sync.Mutex // of those who change the list
	rings atomic.Pointer[[]*Ring]
}

// NewHub makes a hub. set is the SetTracer of the stack, which the hub then has for itself.
func NewHub(set func(func(*Event))) *Hub { return &Hub{set: set} }

// Add hands events to r from now on.
func (h *Hub) Add(r *Ring) {
	h.change(func(list []*Ring) []*Ring { return append(list, r) })
}

// Remove ends that. An event that is being told may still come.
func (h *Hub) Remove(r *Ring) {
	h.change(func(list []*Ring) []*Ring { return slices.DeleteFunc(list, func(x *Ring) bool { return x == r }) })
}

func (h *Hub) change(f func([]*Ring) []*Ring) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []*Ring
	if old := h.rings.Load(); old != nil {
		list = slices.Clone(*old)
	}
	list = f(list)
	h.rings.Store(&list)
	if len(list) == 0 {
		h.set(nil)
	} else {
		h.set(h.trace)
	}
}

func (h *Hub) trace(e *Event) {
	for _, r := range *h.rings.Load() {
		r.Trace(e)
	}
}
