package host

// SubjectKind is the kind of thing a finding is about.
type SubjectKind string

// What a finding can be about.
const (
	SubjectProcess SubjectKind = "process"
	SubjectHost    SubjectKind = "host"
)

// Subject is who a finding is about, as it looked when the finding was made.
type Subject struct {
	Kind      SubjectKind
	ID        ProcID
	Name      string
	Exe       string
	ExeSHA256 string
	Args      []string
	User      string
	Container string
	Ancestors []Ancestor // the parent first, up to the first process
	// Key is what makes two processes the same program: its executable, for an interpreter what it runs, and the
	// container. See feature.GroupKey.
	Key string
}

// Ancestor is one step up the tree of processes.
type Ancestor struct {
	ID   ProcID
	Name string
	Exe  string
}
