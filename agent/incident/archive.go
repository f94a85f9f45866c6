package incident

import (
	"slices"
	"time"
)

// maxRecordKeys is how many programs a closed case is recognized by: the founding one and the newest.
const maxRecordKeys = 8

// archive is the closed cases.
type archive struct {
	records []*SavedClosed          // by the time they were closed
	ids     map[string]*SavedClosed // by id
	keys    map[string]*SavedClosed // by program, the one closed last
}

func newArchive() archive {
	return archive{ids: map[string]*SavedClosed{}, keys: map[string]*SavedClosed{}}
}

// file puts a case away. One that was never told leaves nothing behind that is worth remembering, unless it was taken in
// by another, which its programs then lead to.
func (a *archive) file(d *dossier, at time.Time, into string) {
	if d.revision == 0 && into == "" {
		return
	}
	keys := d.keys
	if len(keys) > maxRecordKeys {
		keys = append([]string{keys[0]}, keys[len(keys)-maxRecordKeys+1:]...)
	}
	a.put(&SavedClosed{
		ID: d.id, Keys: slices.Clone(keys), Revision: d.revision, Paged: d.everPaged,
		First: d.first, Closed: at, Spent: d.cpu(), Into: into,
	})
}

func (a *archive) put(r *SavedClosed) {
	a.remove(r.ID)
	if len(a.records) >= MaxClosed {
		i := max(0, slices.IndexFunc(a.records, func(r *SavedClosed) bool { return !r.Paged }))
		a.remove(a.records[i].ID)
	}
	a.records = append(a.records, r)
	a.ids[r.ID] = r
	for _, k := range r.Keys {
		a.keys[k] = r
	}
}

func (a *archive) remove(id string) {
	r := a.ids[id]
	if r == nil {
		return
	}
	delete(a.ids, id)
	a.records = slices.DeleteFunc(a.records, func(o *SavedClosed) bool { return o == r })
	for _, k := range r.Keys {
		if a.keys[k] == r {
			a.lead(k)
		}
	}
}

// lead has a program lead to the case closed last that was about it.
func (a *archive) lead(key string) {
	delete(a.keys, key)
	for _, r := range slices.Backward(a.records) {
		if slices.Contains(r.Keys, key) {
			a.keys[key] = r
			return
		}
	}
}

// find tells under which id a program was last known, and which case has taken that one in; "" for none.
func (a *archive) find(key string) (id, into string) {
	r := a.keys[key]
	if r == nil {
		return "", ""
	}
	for range maxRecordKeys { // a case that took one in may have been taken in itself
		if r.Into == "" {
			break
		}
		into = r.Into
		next := a.ids[into]
		if next == nil {
			break
		}
		r = next
	}
	return r.ID, into
}

// resume lets a case go on where the closed one of the same id ended. Programs that another open case is about by now
// stay there.
func (a *archive) resume(d *dossier, at time.Time, taken map[string]*dossier) {
	r := a.ids[d.id]
	if r == nil {
		return
	}
	d.revision = r.Revision
	if at.Sub(r.Closed) <= Reopen {
		d.first, d.spent, d.everPaged = r.First, r.Spent, r.Paged
		for _, k := range r.Keys {
			if taken[k] == nil {
				d.key(k)
			}
		}
	}
	a.remove(d.id)
}
