package trace

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Hub hands the events of a stack, and of what serves on it, to any number of rings. While there is none they have no
// tracer and pay nothing.
type Hub struct {
	mu    sync.Mutex // of those who change the lists
	sets  []func(func(*Event))
	rings atomic.Pointer[[]*Ring]
}

// NewHub makes a hub. set is the SetTracer of the stack, which the hub then has for itself.
func NewHub(set func(func(*Event))) *Hub { return &Hub{sets: []func(func(*Event)){set}} }

// AddSource makes the hub hand on the events of another source as well; set is its SetTracer.
func (h *Hub) AddSource(set func(func(*Event))) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sets = append(h.sets, set)
	set(h.tracer())
}

// tracer returns what the sources are to call: nothing while there is no ring.
func (h *Hub) tracer() func(*Event) {
	if list := h.rings.Load(); list == nil || len(*list) == 0 {
		return nil
	}
	return h.trace
}

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
	for _, set := range h.sets {
		set(h.tracer())
	}
}

func (h *Hub) trace(e *Event) {
	for _, r := range *h.rings.Load() {
		r.Trace(e)
	}
}
