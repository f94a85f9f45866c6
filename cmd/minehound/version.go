package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// version is set when a release is built; otherwise what Go noted while building is told.
var version string

// buildVersion is what `version --output json` prints.
type buildVersion struct {
	Version  string `json:"version"`
	Revision string `json:"revision"` // of the source, "" unknown
	Time     string `json:"time"`     // of the revision, "" unknown
	Modified bool   `json:"modified"` // the source had changes on top of the revision
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func readVersion() buildVersion {
	v := buildVersion{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if ok {
		if v.Version == "" {
			v.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Revision = s.Value
			case "vcs.time":
				v.Time = s.Value
			case "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
	}
	if v.Version == "" {
		v.Version = "(devel)"
	}
	return v
}

func (p *program) versionCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "version", Short: "which build this is", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := readVersion()
			switch output {
			case "json":
				return p.json(v)
			case "text":
				return p.print("minehound %s %s %s\n", v.Version, v.Platform, v.Go)
			default:
				return badOutput(output, "text", "json")
			}
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

// json writes v on stdout, indented.
func (p *program) json(v any) error {
	enc := json.NewEncoder(p.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// print writes on stdout.
func (p *program) print(format string, a ...any) error {
	if _, err := fmt.Fprintf(p.stdout, format, a...); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

func badOutput(got string, known ...string) error {
	return usageError{fmt.Errorf("--output %q is not known here", got), "use one of " + strings.Join(known, ", ")}
}
