package report

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/incident"
)

// specSecret is the key of the test vector that the libraries of Standard Webhooks share.
const specSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func secrets(t *testing.T, text string) []Secret {
	t.Helper()
	list, err := ParseSecrets(text)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestSignVector(t *testing.T) {
	got := sign(secrets(t, specSecret), "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestParseSecrets(t *testing.T) {
	key := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for _, c := range []struct {
		name, text string
		want       int
		err        string
	}{
		{"one", specSecret + "\n", 1, ""},
		{"two for rotation, with comments", "# the new one\n" + key(32) + " # March\n\n" + key(24), 2, ""},
		{"shortest and longest", key(24) + " " + key(64), 2, ""},
		{"none", " \n# nothing\n", 0, "no secret"},
		{"no prefix", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 0, "does not begin with whsec_"},
		{"public key", "whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 0, "does not begin with whsec_"},
		{"not base64", "whsec_%%%", 0, "is not base64"},
		{"too short", key(23), 0, "has 23 bytes, not 24 to 64"},
		{"too long", specSecret + " " + key(65), 0, "secret 2 has 65 bytes"},
	} {
		got, err := ParseSecrets(c.text)
		switch {
		case c.err == "" && err != nil, c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: error %v, want %q", c.name, err, c.err)
		case len(got) != c.want:
			t.Errorf("%s: %d secrets, want %d", c.name, len(got), c.want)
		}
		for _, word := range strings.Fields(c.text) {
			if err != nil && len(word) > 10 && strings.Contains(err.Error(), word) {
				t.Errorf("%s: the error repeats the secret: %v", c.name, err)
			}
		}
	}
}

func TestSecretNeverShowsItself(t *testing.T) {
	s := secrets(t, specSecret)
	j, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s[0], s[0]), fmt.Sprintf("%+v", WebhookOptions{Secrets: s}), string(j)} {
		if strings.Contains(text, "MfKQ") || strings.Contains(text, "[49") || strings.Contains(text, "0x31") {
			t.Errorf("%s", text)
		}
	}
}

func TestReadSecrets(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if got, err := ReadSecrets(write("good", specSecret, 0o640)); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := ReadSecrets(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	for path, want := range map[string]string{
		dir:                               "not a small regular file",
		write("empty", "", 0o600):         "no secret",
		write("open", specSecret, 0o644):  "chmod o=",
		write("write", specSecret, 0o602): "chmod o=",
	} {
		if runtime.GOOS == "windows" && want == "chmod o=" {
			continue
		}
		if _, err := ReadSecrets(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestWebhookBadOptions(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(notPEM, []byte("not PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		o    WebhookOptions
		want string
	}{
		{WebhookOptions{}, "no URL"},
		{WebhookOptions{URL: "hooks.example/T0KEN"}, "begin it with https://"},
		{WebhookOptions{URL: "hooks.example:443/T0KEN"}, "https://"},
		{WebhookOptions{URL: "//hooks.example/T0KEN"}, "https://"},
		{WebhookOptions{URL: "https:///T0KEN"}, "names no host"},
		{WebhookOptions{URL: "https://:443/T0KEN"}, "names no host"},
		{WebhookOptions{URL: "ftp://hooks.example/T0KEN"}, `scheme "ftp"`},
		{WebhookOptions{URL: "https://hooks.example/T0KEN%zz"}, "no full URL"},
		{WebhookOptions{URL: "https://u:T0KEN@hooks.example/"}, "a user or a password"},
		{WebhookOptions{URL: "http://hooks.example/T0KEN"}, "not encrypted"},
		{WebhookOptions{URL: "http://127.0.0.1/T0KEN"}, "not encrypted"},
		{WebhookOptions{URL: "https://hooks.example/T0KEN", CAFile: "/no/such.pem"}, "read certificate authorities"},
		{WebhookOptions{URL: "https://hooks.example/T0KEN", CAFile: notPEM}, "holds no certificate"},
	} {
		c.o.Name = "ops"
		_, err := NewWebhook(c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "webhook ops: ") {
			t.Errorf("%s: %v, want %q", c.o.URL, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "T0KEN") {
			t.Errorf("%s: the error repeats the secret: %v", c.o.URL, err)
		}
	}
}

// receiver is an HTTPS server that keeps what it got, and a file with its certificate.
func receiver(t *testing.T, answer http.HandlerFunc) (*httptest.Server, string) {
	t.Helper()
	srv := httptest.NewUnstartedServer(answer)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // some clients do not trust it on purpose
	srv.StartTLS()
	t.Cleanup(srv.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return srv, ca
}

func TestWebhookPosts(t *testing.T) {
	type got struct {
		header http.Header
		body   []byte
		proto  int
	}
	var all []got
	srv, ca := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost {
			t.Errorf("method %s", r.Method)
		}
		all = append(all, got{r.Header.Clone(), body, int(r.TLS.Version)})
		w.WriteHeader(http.StatusAccepted)
	})
	now := time.Unix(1_800_000_000, 0)
	keys := specSecret + " whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("old", 10)))
	w, err := NewWebhook(WebhookOptions{Name: "ops", URL: srv.URL + "/T0KEN", Secrets: secrets(t, keys), CAFile: ca, Version: "1.2.3", Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	a := plainAlert("a", 2, "high")
	for range 2 {
		if err := w.Report(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Minute)
	}
	if len(all) != 2 {
		t.Fatalf("%d requests", len(all))
	}
	for i, g := range all {
		stamp := strconv.Itoa(1_800_000_000 + 60*i)
		if g.header.Get("webhook-id") != a.Key() || g.header.Get("webhook-timestamp") != stamp || g.header.Get("User-Agent") != "minehound/1.2.3" ||
			g.header.Get("Content-Type") != "application/json" {
			t.Errorf("headers %v", g.header)
		}
		signatures := strings.Fields(g.header.Get("webhook-signature"))
		for j, key := range strings.Fields(keys) { // verified as a receiver does, not with our own code
			raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(key, "whsec_"))
			mac := hmac.New(sha256.New, raw)
			fmt.Fprintf(mac, "%s.%s.%s", a.Key(), stamp, g.body)
			if len(signatures) != 2 || signatures[j] != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
				t.Errorf("attempt %d, key %d: signature %v", i, j, signatures)
			}
		}
		var m struct {
			Type      string          `json:"type"`
			Timestamp time.Time       `json:"timestamp"`
			Data      json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal(g.body, &m); err != nil {
			t.Fatal(err)
		}
		line, _ := json.Marshal(a)
		if m.Type != "minehound.alert.created" || !m.Timestamp.Equal(a.Time) || string(m.Data) != string(line) {
			t.Errorf("body %s", g.body)
		}
		if g.proto < 0x0303 {
			t.Errorf("TLS version %x", g.proto)
		}
	}
	if st := w.Stats()[0]; st.Sink != "ops" || st.Delivered != 2 || st.Failed != 0 {
		t.Errorf("%+v", st)
	}
}

func TestWebhookTypes(t *testing.T) {
	for status, want := range map[incident.Status]string{
		incident.Open: "minehound.alert.created", incident.Updated: "minehound.alert.updated", incident.Closed: "minehound.alert.closed",
	} {
		if got := messageType(status); got != want {
			t.Errorf("%s: %s, want %s", status, got, want)
		}
	}
}

func TestWebhookAnswers(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		status     int
		retryAfter string
		permanent  bool
		wait       time.Duration
		hint       string
	}{
		{408, "", false, 0, ""}, {425, "", false, 0, ""}, {429, "30", false, 30 * time.Second, ""}, {500, "", false, 0, ""},
		{501, "", false, 0, ""}, {503, "Sun, 01 Mar 2026 12:02:00 GMT", false, 2 * time.Minute, ""},
		{503, "Sun, 01 Mar 2026 11:00:00 GMT", false, 0, ""}, {503, "99999999", false, time.Hour, ""},
		{503, "-5", false, 0, ""}, {503, "soon", false, 0, ""}, {504, "1", false, time.Second, ""},
		{400, "30", true, 0, ""}, {410, "", true, 0, "address"}, {413, "", true, 0, "smaller"}, {415, "", true, 0, ""}, {422, "", true, 0, ""},
		// Mended on this side or the other, by whoever reads the log in the morning.
		{401, "", false, 0, "same secret"}, {403, "60", false, time.Minute, "same secret"}, {404, "", false, 0, "address"},
		{405, "", false, 0, ""}, {407, "", false, 0, ""},
		{301, "", false, 0, "redirects are not followed"}, {307, "", false, 0, "redirects are not followed"},
	} {
		t.Run(fmt.Sprint(c.status, c.retryAfter), func(t *testing.T) {
			requests := 0
			srv, ca := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
				requests++
				w.Header().Set("Retry-After", c.retryAfter)
				w.Header().Set("Location", "/elsewhere?SECRET")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, "SECRET")
			})
			w, err := NewWebhook(WebhookOptions{Name: "ops", URL: srv.URL + "/T0KEN?T0KEN", CAFile: ca, Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			err = w.Report(t.Context(), plainAlert("a", 1, "high"))
			var d *DeliveryError
			if !errors.As(err, &d) || d.Status != c.status || d.Permanent != c.permanent || d.RetryAfter != c.wait || !strings.Contains(err.Error(), c.hint) {
				t.Errorf("got %+v", d)
			}
			if requests != 1 {
				t.Errorf("%d requests", requests)
			}
			shown(t, err)
		})
	}
}

// shown checks that an error holds nothing that may be secret.
func shown(t *testing.T, err error) {
	t.Helper()
	if s := err.Error(); strings.Contains(s, "T0KEN") || strings.Contains(s, "SECRET") {
		t.Errorf("the error holds a secret: %s", s)
	}
}

func TestWebhookNetworkErrors(t *testing.T) {
	hang := make(chan struct{})
	srv, ca := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	defer close(hang)
	dead := httptest.NewServer(nil)
	dead.Close()
	cut, cutCA := receiver(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		o    WebhookOptions
		want string
	}{
		"refused":   {t.Context(), WebhookOptions{URL: dead.URL, Insecure: true}, "refused"},
		"timeout":   {t.Context(), WebhookOptions{URL: srv.URL, CAFile: ca, Timeout: 50 * time.Millisecond}, "no answer within 50ms"},
		"canceled":  {canceled, WebhookOptions{URL: srv.URL, CAFile: ca}, "context canceled"},
		"untrusted": {t.Context(), WebhookOptions{URL: srv.URL}, "name its authority in ca_file"},
		"cut":       {t.Context(), WebhookOptions{URL: cut.URL, CAFile: cutCA}, "EOF"},
		"no host":   {t.Context(), WebhookOptions{URL: "https://no-such-host.invalid"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Name, c.o.URL = "ops", c.o.URL+"/T0KEN?T0KEN"
			w, err := NewWebhook(c.o)
			if err != nil {
				t.Fatal(err)
			}
			err = w.Report(c.ctx, plainAlert("a", 1, "high"))
			var d *DeliveryError
			if !errors.As(err, &d) || d.Permanent || d.Status != 0 || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v", err)
			}
			if name == "canceled" && !errors.Is(err, context.Canceled) {
				t.Errorf("%v does not wrap its cause", err)
			}
			shown(t, err)
			if st := w.Stats()[0]; st.Failed != 1 || st.LastError != err.Error() {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestWebhookEndlessAnswer is answered by a receiver that does not stop.
func TestWebhookEndlessAnswer(t *testing.T) {
	srv, ca := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<12)); err != nil {
				return
			}
		}
	})
	w, err := NewWebhook(WebhookOptions{Name: "ops", URL: srv.URL, CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Report(t.Context(), plainAlert("a", 1, "high")); err != nil {
		t.Fatal(err)
	}
}

func TestWebhookProxy(t *testing.T) {
	// The environment is read once for each process, so what is asked is the function.
	t.Setenv("HTTPS_PROXY", "http://user:SECRET@proxy.example:3128")
	req := &http.Request{URL: &url.URL{Scheme: "https", Host: "hooks.example"}}
	want, wantErr := http.ProxyFromEnvironment(req)
	w, err := NewWebhook(WebhookOptions{URL: "https://hooks.example/"})
	if err != nil {
		t.Fatal(err)
	}
	transport, ok := w.client.Transport.(*http.Transport)
	if !ok || transport.Proxy == nil {
		t.Fatal("no proxy function")
	}
	got, err := transport.Proxy(req)
	if fmt.Sprint(got) != fmt.Sprint(want) || (err == nil) != (wantErr == nil) {
		t.Errorf("got %v, %v; want %v, %v", got, err, want, wantErr)
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "0", "120", "-1", "Sun, 01 Mar 2026 12:02:00 GMT", "1e9", "99999999999999999999"} {
		f.Add(s)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if d := retryAfter(s, now); d < 0 || d > mostRetryAfter {
			t.Fatalf("%q: %v", s, d)
		}
	})
}

func FuzzParseSecrets(f *testing.F) {
	f.Add(specSecret)
	f.Add("# x\nwhsec_AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		list, err := ParseSecrets(s)
		if (err == nil) != (len(list) > 0) {
			t.Fatalf("%d secrets and %v", len(list), err)
		}
		for _, secret := range list {
			if len(secret.key) < leastKey || len(secret.key) > mostKey {
				t.Fatalf("a key of %d bytes", len(secret.key))
			}
		}
	})
}
