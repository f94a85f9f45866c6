package sigma

// Field is one field of a record: what our rules call it and what Sigma's taxonomy calls it. Both names mean the same
// index; either may be empty.
type Field struct {
	Name  string
	Sigma string
}

// Schema maps names of fields to the indexes that host.Record.Get takes. Names are compared exactly, as the
// specification's are.
type Schema struct {
	index map[string]int
	count int
	names []string
}

// NewSchema is the Schema in which field i of the list has index i. A name that stands twice means the first.
func NewSchema(fields ...Field) *Schema {
	s := &Schema{index: make(map[string]int, 2*len(fields)), count: len(fields), names: make([]string, len(fields))}
	for i, f := range fields {
		s.names[i] = f.Name
		if f.Name == "" {
			s.names[i] = f.Sigma
		}
		for _, n := range [...]string{f.Name, f.Sigma} {
			if _, taken := s.index[n]; n != "" && !taken {
				s.index[n] = i
			}
		}
	}
	return s
}

// Index is the index of a field by any of its names.
func (s *Schema) Index(name string) (int, bool) {
	i, ok := s.index[name]
	return i, ok
}

// Len is the number of fields.
func (s *Schema) Len() int { return s.count }

// Name is what our rules call field i.
func (s *Schema) Name(i int) string { return s.names[i] }
