package secret

import "strings"

// bare takes the dashes before and the separator behind an option off its name.
func bare(option string) string {
	return strings.TrimRight(strings.TrimLeft(option, "-/"), "=:")
}

// secretName tells whether a value of that name is a secret: "db.password", "AWS_SECRET_ACCESS_KEY", "apiKey". It is not
// when the name says that the value only leads to one ("password-file") or tells something about it ("token-ttl").
func secretName(name string) bool {
	found, previous := false, ""
	for word := range words(name) {
		switch word {
		case "file", "files", "path", "dir", "stdin", "prompt", "ask", "no", "fd", "url", "uri", "endpoint", "ttl", "type",
			"method", "mode", "policy", "length", "len", "size", "expiry", "expires", "name", "id", "count", "limit", "max", "min":
			return false
		case "pass", "pw", "pwd", "psw", "auth", "authorization", "bearer", "cookie", "cookies", "cred", "creds", "psk", "otp", "jwt",
			"rpcauth", "masterauth", "passin", "passout", "pat":
			found = true
		case "key":
			switch previous {
			case "api", "access", "secret", "private", "auth", "encryption", "master", "license", "account", "shared", "signing":
				found = true
			}
		default:
			found = found || secretWord(word)
		}
		previous = word
	}
	return found
}

func secretWord(word string) bool {
	for _, end := range []string{
		"password", "passwd", "passphrase", "passwort", "secret", "secrets", "token", "tokens", "apikey", "accesskey", "secretkey",
		"privatekey", "credential", "credentials", "pwd", "psw", "passwords",
	} {
		if strings.HasSuffix(word, end) {
			return true
		}
	}
	if !strings.HasSuffix(word, "pass") {
		return false
	}
	switch word {
	case "bypass", "compass", "trespass", "surpass", "underpass", "overpass", "multipass", "keepass", "onepass", "lowpass", "highpass",
		"bandpass", "renderpass":
		return false
	}
	return true
}

// keyName tells whether a value of that name is a key or the file of one.
func keyName(name string) bool {
	last := ""
	for word := range words(name) {
		last = word
	}
	return last == "key"
}

// userName tells whether a value of that name is a user, behind which a password may hang.
func userName(name string) bool {
	last := ""
	for word := range words(name) {
		last = word
	}
	switch last {
	case "user", "username", "userpass", "login", "proxyuser":
		return true
	}
	return false
}

// words yields the words of a name in lower case: at every byte that is no letter, and where a small letter or a digit is
// followed by a capital. Digits at a word's end do not count.
func words(name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		from := 0
		emit := func(to int) bool {
			w := strings.TrimRight(name[from:to], "0123456789")
			return w == "" || yield(strings.ToLower(w))
		}
		for i := range len(name) {
			c := name[i]
			switch {
			case isAlnum(c) && (!isUpper(c) || i <= from || isUpper(name[i-1])):
				continue
			case !emit(i):
				return
			}
			from = i
			if !isAlnum(c) {
				from++
			}
		}
		emit(len(name))
	}
}

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || isUpper(c)
}

// conceal is [Masked], unless there is nothing to hide or it is a wallet.
func conceal(value string) string {
	if value == "" || Wallet(value) {
		return value
	}
	return Masked
}

// user masks what follows the user's name: user:password, user%password. A wallet stays, so does COIN:WALLET.
func user(s string) string {
	if before, after, ok := strings.Cut(s, "%"); ok && after != "" && !strings.Contains(before, ":") {
		return before + "%" + conceal(after)
	}
	name, rest, ok := strings.Cut(s, ":")
	if !ok || rest == "" || isPorts(s) {
		return s
	}
	if isTicker(name) {
		if w, pass, more := strings.Cut(rest, ":"); Wallet(w) || isPayTo(w) {
			if more {
				return name + ":" + w + ":" + conceal(pass)
			}
			return s
		}
	}
	return name + ":" + conceal(rest)
}

// isTicker tells whether s may name a coin: pools that pay in another coin take COIN:WALLET as user.
func isTicker(s string) bool {
	return len(s) >= 2 && len(s) <= 8 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == "" || s == "kaspa" || s == "nano"
}

// isPayTo is a wallet of any coin where nothing but one can stand: a long word, a worker behind it perhaps.
func isPayTo(s string) bool {
	w, _, _ := strings.Cut(s, ".")
	if len(w) < 25 || len(w) > 128 {
		return false
	}
	for i := range len(w) {
		if !isAlnum(w[i]) && w[i] != '_' {
			return false
		}
	}
	return true
}

// isPorts tells whether s is made of port numbers: 22, 8080:80, 127.0.0.1:80:80/tcp, 1-1024.
func isPorts(s string) bool {
	s = strings.TrimSuffix(strings.TrimSuffix(s, "/tcp"), "/udp")
	if s == "" {
		return false
	}
	n, digits := 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			if n = n*10 + int(c-'0'); n > 65535 {
				return false
			}
			digits++
		case (c == ':' || c == '.' || c == '-' || c == ',') && digits > 0:
			n = 0
		default:
			return false
		}
	}
	return true
}

// isPath tells whether s names a file rather than being a key.
func isPath(s string) bool {
	if strings.HasPrefix(s, "/") || strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../") || strings.HasPrefix(s, "~/") ||
		len(s) > 2 && s[1] == ':' && (s[2] == '\\' || s[2] == '/') {
		return true
	}
	for _, end := range []string{".pem", ".key", ".crt", ".cer", ".p12", ".pfx", ".pub", ".jks", ".der", ".asc", ".gpg"} {
		if strings.HasSuffix(s, end) {
			return true
		}
	}
	return false
}
