package secret

import (
	"bytes"
	"crypto/sha256"
	"math/big"
	"strings"
)

// Wallet tells whether s is the address of a wallet, alone or with a worker's name behind it (WALLET.worker, WALLET/rig,
// WALLET+difficulty). Addresses that carry a checksum this package knows are held to it, so that a random password is not
// taken for one.
func Wallet(s string) bool {
	if rest, ok := strings.CutPrefix(s, "kaspa:"); ok {
		return len(word(rest)) >= 61 && len(word(rest)) <= 63 && strings.Trim(word(rest), bech32Digits) == ""
	}
	w := word(s)
	if len(w) < 26 || len(w) > 120 {
		return false
	}
	// What hangs behind must be short, or a secret could hide there.
	if len(s)-len(w) > 64 || strings.ContainsAny(s[len(w):], ": \t\n=") {
		return false
	}
	switch {
	case len(w) == 42 && strings.HasPrefix(w, "0x"):
		return strings.Trim(w[2:], "0123456789abcdefABCDEF") == ""
	case len(w) >= 90: // CryptoNote: Monero has 95 and 106
		return strings.Trim(w, base58Digits) == ""
	}
	return bech32(w) || len(w) <= 36 && base58Check(w)
}

// word is the part of s before the first byte that is no letter and no digit.
func word(s string) string {
	for i := range len(s) {
		if !isAlnum(s[i]) {
			return s[:i]
		}
	}
	return s
}

const (
	base58Digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	bech32Digits = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
)

// base58Check verifies an address of Bitcoin and its relatives: 25 or 26 bytes, the last four of which are the start of the
// double SHA-256 of the others.
func base58Check(s string) bool {
	n, radix := new(big.Int), big.NewInt(58)
	for i := range len(s) {
		d := strings.IndexByte(base58Digits, s[i])
		if d < 0 {
			return false
		}
		n.Add(n.Mul(n, radix), big.NewInt(int64(d)))
	}
	b := n.Bytes()
	for i := 0; i < len(s) && s[i] == '1'; i++ {
		b = append([]byte{0}, b...)
	}
	if len(b) != 25 && len(b) != 26 {
		return false
	}
	body, sum := b[:len(b)-4], b[len(b)-4:]
	once := sha256.Sum256(body)
	twice := sha256.Sum256(once[:])
	return bytes.Equal(twice[:4], sum)
}

// bech32 verifies an address of BIP 173 or BIP 350, whatever the coin.
func bech32(s string) bool {
	if s != strings.ToLower(s) {
		return false
	}
	one := strings.LastIndexByte(s, '1')
	if one < 1 || one > 10 || len(s)-one < 8 || len(s) > 90 {
		return false
	}
	var values []byte
	for i := range one {
		values = append(values, s[i]>>5)
	}
	values = append(values, 0)
	for i := range one {
		values = append(values, s[i]&31)
	}
	for i := one + 1; i < len(s); i++ {
		d := strings.IndexByte(bech32Digits, s[i])
		if d < 0 {
			return false
		}
		values = append(values, byte(d))
	}
	sum := uint32(1)
	for _, v := range values {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ uint32(v)
		for i, g := range []uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	return sum == 1 || sum == 0x2bc830a3
}
