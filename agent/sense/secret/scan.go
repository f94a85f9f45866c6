package secret

import "strings"

// scan masks secrets that show wherever they stand in a text: the userinfo of URLs, NAME=VALUE and "name": "value" pairs,
// tokens that can be told by their look.
func scan(s string) string {
	if strings.Contains(s, "://") {
		s = urls(s)
	} else if i := strings.IndexByte(s, '@'); i > 0 {
		s = credentials(s, i)
	}
	if strings.ContainsAny(s, "=:") {
		s = pairs(s)
	}
	return tokens(s)
}

// credentials masks user:password@host without a scheme. A digest (image@sha256:…) is none.
func credentials(s string, at int) string {
	name, _, ok := strings.Cut(s[:at], ":")
	if !ok || name == "" || strings.ContainsAny(s[:at], " \t\n\"'") || strings.HasPrefix(s[at:], "@sha256:") {
		return s
	}
	end := strings.IndexAny(s, " \t\n\"'")
	if end < 0 {
		end = len(s)
	}
	at = strings.LastIndexByte(s[:end], '@')
	return userinfo(s[:at]) + s[at:]
}

// urls masks the userinfo of every URL, and of those services that have it the secret in the path.
func urls(s string) string {
	var out strings.Builder
	rest := s
	for {
		i := strings.Index(rest, "://")
		if i < 0 {
			break
		}
		out.WriteString(rest[:i+3])
		rest = rest[i+3:]
		end := strings.Index(rest, "://") // socks5://a:b@c,http://d:e@f
		if end < 0 {
			end = len(rest)
		}
		if blank := strings.IndexAny(rest[:end], " \t\n\"'<>`|"); blank >= 0 {
			end = blank
		}
		out.WriteString(hook(authority(rest[:end])))
		rest = rest[end:]
	}
	out.WriteString(rest)
	return out.String()
}

// authority masks the userinfo at the start of what follows the ://. A password may hold a slash that nobody escaped:
// where what follows the colon is no port, the userinfo reaches to a later @.
func authority(s string) string {
	end := strings.IndexAny(s, "/?#")
	if end < 0 {
		end = len(s)
	}
	at := strings.LastIndexByte(s[:end], '@')
	if _, port, ok := strings.Cut(s[:end], ":"); at < 0 && ok && !isPorts(port) && !strings.HasPrefix(s, "[") {
		at = strings.LastIndexByte(s, '@')
	}
	if at < 0 {
		return s
	}
	return userinfo(s[:at]) + s[at:]
}

// userinfo keeps a user that is a wallet and masks everything else.
func userinfo(s string) string {
	name, pass, has := strings.Cut(s, ":")
	if has && isTicker(name) {
		if w, rest, more := strings.Cut(pass, ":"); Wallet(w) || isPayTo(w) && more {
			name, pass, has = name+":"+w, rest, more
			if !has {
				return name
			}
			return name + ":" + conceal(pass)
		}
	}
	if Wallet("kaspa:"+strings.TrimPrefix(s, "kaspa:")) && strings.HasPrefix(s, "kaspa:") {
		return s
	}
	if name != "" && !Wallet(name) {
		name = Masked
	}
	if has {
		return name + ":" + conceal(pass)
	}
	return name
}

// hook masks the paths that are the password of a web hook.
func hook(s string) string {
	for _, p := range []string{"hooks.slack.com/services/", "discord.com/api/webhooks/", "discordapp.com/api/webhooks/", "api.telegram.org/bot"} {
		if i := strings.Index(s, p); i >= 0 && len(s) > i+len(p) {
			i += len(p)
			if tail := strings.IndexByte(s[i:], '/'); tail >= 0 && strings.HasSuffix(p, "bot") {
				return s[:i] + Masked + s[i+tail:]
			}
			return s[:i] + Masked
		}
	}
	return s
}

// pairs masks the values of NAME=VALUE, NAME: VALUE and "NAME": "VALUE" where the name is a secret's.
func pairs(s string) string {
	var out strings.Builder
	at := 0
	for i := range len(s) {
		if s[i] != '=' && s[i] != ':' || i < at {
			continue
		}
		if s[i] == ':' && strings.HasPrefix(s[i:], "://") {
			continue
		}
		name, from := nameBefore(s, i)
		key := name != "" && keyName(name)
		if !key && !secretName(name) || userName(name) {
			continue
		}
		begin, end := valueAfter(s, i, from, name)
		value := s[begin:end]
		if value == "" || value == Masked || key && !secretName(name) && (isPath(value) || isPorts(value) || s[i] == ':') {
			continue
		}
		if hidden := conceal(value); hidden != value {
			out.WriteString(s[at:begin])
			out.WriteString(hidden)
		} else {
			out.WriteString(s[at:end])
		}
		at = end
	}
	if at == 0 {
		return s
	}
	out.WriteString(s[at:])
	return out.String()
}

// nameBefore is the name that ends before the separator at i, and where it begins.
func nameBefore(s string, i int) (name string, from int) {
	end := i
	for end > 0 && (s[end-1] == ' ' || s[end-1] == '"' || s[end-1] == '\'' || s[end-1] == '\\') {
		end--
	}
	from = end
	for from > 0 && end-from < 64 && (isAlnum(s[from-1]) || s[from-1] == '_' || s[from-1] == '-' || s[from-1] == '.') {
		from--
	}
	return s[from:end], from
}

// valueAfter is where the value behind the separator at i begins and ends.
func valueAfter(s string, i, from int, name string) (begin, end int) {
	begin = i + 1
	for begin < len(s) && s[begin] == ' ' {
		begin++
	}
	header := false
	for w := range words(name) {
		header = header || w == "authorization" || w == "cookie" || w == "cookies"
	}
	stop := " \t\n,;})]\"'&<>`|"
	switch {
	case begin < len(s) && (s[begin] == '"' || s[begin] == '\''):
		stop = s[begin : begin+1]
		begin++
	case strings.HasPrefix(s[begin:], `\"`):
		stop = `\`
		begin += 2
	case header:
		stop = "\"'\n"
		for _, scheme := range []string{"Bearer ", "Basic ", "Token ", "Digest ", "bearer ", "basic ", "token "} {
			if strings.HasPrefix(s[begin:], scheme) {
				begin += len(scheme)
			}
		}
	case from > 0 && (s[from-1] == '?' || s[from-1] == '&'):
		stop = "&# \t\n\"'"
	case !strings.ContainsAny(s, " \t\n{") && strings.Trim(s[:from], "-") == "":
		return begin, len(s) // the whole argument is one pair
	}
	end = strings.IndexAny(s[begin:], stop)
	if end < 0 {
		return begin, len(s)
	}
	return begin, begin + end
}

// tokens masks what is a secret by its look. Sources: the documented prefixes of GitHub, GitLab, Slack, npm, PyPI, Docker
// Hub, Stripe, OpenAI, Google and DigitalOcean; RFC 7519 for JSON web tokens.
func tokens(s string) string {
	for _, t := range []struct {
		prefix string
		least  int
	}{
		{"ghp_", 30}, {"gho_", 30}, {"ghu_", 30}, {"ghs_", 30}, {"ghr_", 30}, {"github_pat_", 30}, {"glpat-", 18},
		{"xoxb-", 16}, {"xoxp-", 16}, {"xoxa-", 16}, {"xoxs-", 16}, {"npm_", 30}, {"pypi-", 40}, {"dckr_pat_", 20},
		{"sk_live_", 16}, {"rk_live_", 16}, {"sk-", 32}, {"AIza", 30}, {"dop_v1_", 30}, {"eyJ", 40},
	} {
		s = token(s, t.prefix, t.least)
	}
	return s
}

// token masks every word that begins with prefix and goes on for at least so many bytes.
func token(s, prefix string, least int) string {
	var out strings.Builder
	at := 0
	for from := 0; ; {
		i := strings.Index(s[from:], prefix)
		if i < 0 {
			break
		}
		i += from
		end := i + len(prefix)
		for end < len(s) && (isAlnum(s[end]) || s[end] == '-' || s[end] == '_' || s[end] == '.') {
			end++
		}
		from = end
		if end-i-len(prefix) < least || i > 0 && isAlnum(s[i-1]) || Wallet(s[i:end]) {
			continue
		}
		out.WriteString(s[at:i])
		out.WriteString(Masked)
		at = end
	}
	if at == 0 {
		return s
	}
	out.WriteString(s[at:])
	return out.String()
}
