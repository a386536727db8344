package initproc

import (
	"encoding/binary"
	"errors"
)

// codec writes or reads a message field by field: one description of a message serves both ways, and
// init needs no reflection. Numbers are varints, everything else has its length before it.
type codec struct {
	b       []byte
	reading bool
	broken  bool
}

type message interface{ fields(*codec) }

var errMalformed = errors.New("malformed message")

func encode(m message) []byte {
	c := &codec{}
	m.fields(c)
	return c.b
}

func decode(b []byte, m message) error {
	c := &codec{b: b, reading: true}
	m.fields(c)
	if c.broken || len(c.b) > 0 {
		return errMalformed
	}
	return nil
}

func (c *codec) num(n *int) {
	if !c.reading {
		c.b = binary.AppendVarint(c.b, int64(*n))
		return
	}
	v, size := binary.Varint(c.b)
	if size <= 0 {
		c.broken, size = true, len(c.b)
	}
	c.b = c.b[size:]
	*n = int(v)
}

func (c *codec) flag(v *bool) {
	n := 0
	if *v {
		n = 1
	}
	c.num(&n)
	*v = n != 0
}

func (c *codec) bytes(v *[]byte) {
	n := len(*v)
	c.num(&n)
	if !c.reading {
		c.b = append(c.b, *v...)
		return
	}
	if n < 0 || n > len(c.b) {
		c.broken, n = true, 0
	}
	*v, c.b = c.b[:n:n], c.b[n:]
}

func (c *codec) str(v *string) {
	b := []byte(*v)
	c.bytes(&b)
	*v = string(b)
}

func (c *codec) strs(v *[]string) { list(c, v, c.str) }

func list[T any](c *codec, v *[]T, element func(*T)) {
	n := len(*v)
	c.num(&n)
	if c.reading {
		if n < 0 || n > len(c.b) {
			c.broken, n = true, 0
		}
		*v = make([]T, n)
	}
	for i := range *v {
		element(&(*v)[i])
	}
}

func optional[T any](c *codec, v **T, element func(*T)) {
	there := *v != nil
	c.flag(&there)
	if !there {
		return
	}
	if c.reading {
		*v = new(T)
	}
	element(*v)
}
