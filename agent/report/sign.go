package report

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Secret signs what a webhook sends. It never shows itself.
type Secret struct{ key []byte }

// String hides the secret.
func (Secret) String() string { return "whsec_…" }

// GoString hides the secret.
func (Secret) GoString() string { return "whsec_…" }

// MarshalText hides the secret.
func (Secret) MarshalText() ([]byte, error) { return []byte("whsec_…"), nil }

// The bounds of a key in bytes, as Standard Webhooks 1.0.0 sets them.
const leastKey, mostKey = 24, 64

// secretHint says how to make a secret.
const secretHint = `make one with: echo "whsec_$(openssl rand -base64 32)"`

// ParseSecrets reads secrets as Standard Webhooks writes them, whsec_ and base64, separated by white space. Several are
// for rotation: the new one first, the old ones until every receiver has the new one. What follows a # up to the end of
// its line is a comment. The error does not repeat what was read.
func ParseSecrets(text string) ([]Secret, error) {
	var list []Secret
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		for _, word := range strings.Fields(line) {
			encoded, ok := strings.CutPrefix(word, "whsec_")
			if !ok {
				return nil, fmt.Errorf("secret %d does not begin with whsec_ (%s)", len(list)+1, secretHint)
			}
			key, err := base64.StdEncoding.DecodeString(encoded)
			if err != nil {
				return nil, fmt.Errorf("secret %d is not base64 behind whsec_ (%s)", len(list)+1, secretHint)
			}
			if len(key) < leastKey || len(key) > mostKey {
				return nil, fmt.Errorf("secret %d has %d bytes, not %d to %d (%s)", len(list)+1, len(key), leastKey, mostKey, secretHint)
			}
			list = append(list, Secret{key})
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no secret (%s)", secretHint)
	}
	return list, nil
}

// ReadSecrets reads a file of secrets, see [ParseSecrets]. It refuses a file that everybody may read or write.
func ReadSecrets(path string) ([]Secret, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("secret file: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > 1<<16 {
		return nil, fmt.Errorf("secret file %s: %w", path, errors.New("not a small regular file"))
	}
	if runtime.GOOS != "windows" && info.Mode()&0o007 != 0 {
		return nil, fmt.Errorf("secret file %s: everybody may read or write it (chmod o= %s)", path, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("secret file: %w", err)
	}
	list, err := ParseSecrets(string(text))
	if err != nil {
		return nil, fmt.Errorf("secret file %s: %w", path, err)
	}
	return list, nil
}

// sign is the value of webhook-signature: for each secret, v1 and the base64 of HMAC-SHA256 over id.timestamp.body.
func sign(secrets []Secret, id string, at time.Time, body []byte) string {
	list := make([]string, 0, len(secrets))
	for _, s := range secrets {
		mac := hmac.New(sha256.New, s.key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		list = append(list, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(list, " ")
}
