package policy

// findPhone finds a Chinese mobile number: 1, then 3 to 9, then nine digits, in
// one or as 3-4-4 with dashes or spaces, with or without 86, +86 or 0086 in
// front. Longer numbers hold none.
func findPhone(v []byte, from int) (start, end int, ok bool) {
	for {
		s, e, ok := run(v, from, digit|gap, 11)
		if !ok {
			return 0, 0, false
		}
		for i := s; i+11 <= e; i++ {
			if n := mobile(v[i:e]); n > 0 && !is(v, i+n, digit) {
				if begin, ok := phoneStart(v, i); ok {
					return begin, i + n, true
				}
			}
		}
		from = e
	}
}

// mobile is the length of the mobile number at the start of v, or 0.
func mobile(v []byte) int {
	if v[0] != '1' || v[1] < '3' || v[1] > '9' || !all(v[:3], digit) {
		return 0
	}
	if all(v[3:11], digit) {
		return 11
	}
	if len(v) >= 13 && classes[v[3]]&gap != 0 && v[8] == v[3] && all(v[4:8], digit) && all(v[9:13], digit) {
		return 13
	}
	return 0
}

// phoneStart is where the number begins whose eleven digits begin at i.
func phoneStart(v []byte, i int) (start int, ok bool) {
	start = i
	if is(v, i-1, gap) {
		i--
	}
	for _, country := range []string{"0086", "86"} {
		if s := i - len(country); s >= 0 && string(v[s:i]) == country && numberAt(v, s) {
			if s > 0 && v[s-1] == '+' {
				s--
			}
			return s, true
		}
	}
	return start, numberAt(v, start)
}

// findIDCard finds the number of a Chinese ID card: 17 digits and a check digit
// or X, with a date of birth in it.
func findIDCard(v []byte, from int) (start, end int, ok bool) {
	for {
		s, e, ok := run(v, from, digit, 17)
		if !ok {
			return 0, 0, false
		}
		from = e
		if s += escaped(v, s); s+17 > e {
			continue
		}
		n := e - s
		if n == 17 && e < len(v) && (v[e] == 'X' || v[e] == 'x') {
			n++
		}
		if n == 18 && idCard(v[s:s+18]) {
			return s, s + 18, true
		}
	}
}

// idCard checks the date and the check digit (ISO 7064, mod 11-2).
func idCard(v []byte) bool {
	number := func(from, to int) (n int) {
		for _, b := range v[from:to] {
			n = n*10 + int(b-'0')
		}
		return n
	}
	year, month, day := number(6, 10), number(10, 12), number(12, 14)
	if year < 1850 || year > 2150 || month < 1 || month > 12 || day < 1 || day > 31 {
		return false
	}
	weights := [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, w := range weights {
		sum += w * int(v[i]-'0')
	}
	check := v[17]
	if check == 'x' {
		check = 'X'
	}
	return check == "10X98765432"[sum%11]
}
