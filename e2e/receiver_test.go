package e2e

import (
	"bufio"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/report"
)

// delivery is one request that a receiver got.
type delivery struct {
	id    string // webhook-id
	kind  string // minehound.alert.created, updated or closed
	at    time.Time
	alert report.Alert
	body  []byte
	err   error // what was wrong with it
	taken bool  // answered with success
}

// receiver is a webhook receiver that fails the first tries and checks every signature, as the Standard Webhooks
// specification says a receiver must.
type receiver struct {
	url    string
	secret string // as the configuration wants it

	mu   sync.Mutex
	fail int
	got  []delivery
}

// newReceiver starts a receiver that answers the first fail requests with 503.
func newReceiver(t *testing.T, fail int) *receiver {
	t.Helper()
	key := make([]byte, 32)
	rand.Read(key)
	r := &receiver{secret: "whsec_" + base64.StdEncoding.EncodeToString(key), fail: fail}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	r.url = s.URL + "/hook"
	return r
}

// ServeHTTP implements [http.Handler].
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	d := delivery{id: req.Header.Get("webhook-id"), at: time.Now()}
	d.body, d.err = io.ReadAll(req.Body)
	if d.err == nil {
		envelope := struct {
			Type      string
			Timestamp time.Time
			Data      *report.Alert
		}{Data: &d.alert}
		d.err = errors.Join(verify(r.secret, req.Header, d.body, d.at), json.Unmarshal(d.body, &envelope))
		d.kind = envelope.Type
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	d.taken = r.fail <= 0
	r.fail--
	r.got = append(r.got, d)
	if !d.taken {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// deliveries is everything that was received so far.
func (r *receiver) deliveries() []delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]delivery(nil), r.got...)
}

// taken is what was received and accepted. A request with anything wrong fails the test.
func (r *receiver) taken(t *testing.T) []delivery {
	t.Helper()
	var ok []delivery
	for i, d := range r.deliveries() {
		if d.err != nil {
			t.Errorf("request %d (%s): %v", i, d.id, d.err)
		}
		if d.taken {
			ok = append(ok, d)
		}
	}
	return ok
}

// verify checks a request by the letter of the specification: HMAC-SHA256 over "id.timestamp.body" with the decoded
// secret, any one of the signatures, and a timestamp within five minutes.
func verify(secret string, h http.Header, body []byte, now time.Time) error {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return fmt.Errorf("secret: %w", err)
	}
	id, stamp := h.Get("webhook-id"), h.Get("webhook-timestamp")
	if id == "" || strings.Contains(id, ".") {
		return fmt.Errorf("webhook-id %q", id)
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return fmt.Errorf("webhook-timestamp: %w", err)
	}
	if off := now.Sub(time.Unix(seconds, 0)); math.Abs(off.Minutes()) > 5 {
		return fmt.Errorf("webhook-timestamp is %v off", off)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	want := mac.Sum(nil)
	for _, s := range strings.Fields(h.Get("webhook-signature")) {
		version, text, _ := strings.Cut(s, ",")
		got, err := base64.StdEncoding.DecodeString(text)
		if version == "v1" && err == nil && hmac.Equal(got, want) {
			return nil
		}
	}
	return fmt.Errorf("no signature of %q fits", h.Get("webhook-signature"))
}

// readAlerts reads an alert log, none when there is no file yet. A last line that is still being written is left out.
func readAlerts(t *testing.T, path string) []report.Alert {
	t.Helper()
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []report.Alert
	for lines := bufio.NewReader(f); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		var a report.Alert
		if err := json.Unmarshal(line, &a); err != nil {
			t.Fatalf("%s: %v in %s", path, err, line)
		}
		list = append(list, a)
	}
}

// TestVerify holds the receiver against the example of the Standard Webhooks specification, so that it is not the sender
// that defines what is right.
func TestVerify(t *testing.T) {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	body := []byte(`{"test": 2432232314}`)
	at := time.Unix(1614265330, 0)
	good := http.Header{}
	good.Set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	good.Set("webhook-timestamp", "1614265330")
	good.Set("webhook-signature", "v1a,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	if err := verify(secret, good, body, at); err != nil {
		t.Errorf("the specification's example: %v", err)
	}
	bad := map[string]func(http.Header) (http.Header, []byte, time.Time){
		"other body": func(h http.Header) (http.Header, []byte, time.Time) { return h, []byte("{}"), at },
		"too old":    func(h http.Header) (http.Header, []byte, time.Time) { return h, body, at.Add(6 * time.Minute) },
		"other id": func(h http.Header) (http.Header, []byte, time.Time) {
			h.Set("webhook-id", "msg_2")
			return h, body, at
		},
		"other version": func(h http.Header) (http.Header, []byte, time.Time) {
			h.Set("webhook-signature", strings.ReplaceAll(h.Get("webhook-signature"), "v1,", "v2,"))
			return h, body, at
		},
		"none": func(http.Header) (http.Header, []byte, time.Time) { return http.Header{}, body, at },
	}
	for name, change := range bad {
		if h, b, now := change(good.Clone()); verify(secret, h, b, now) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
