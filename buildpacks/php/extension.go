package php

import "strings"

// builtIn are the extensions that PHP's interpreter, its common package and the toolchain's own list bring (Debian
// trixie: php8.4-common, php8.4-cli and those that the toolchain names).
const builtIn = ` bcmath calendar core ctype curl date dom exif ffi fileinfo filter ftp gd gettext hash iconv intl json libxml mbstring
	mysqli mysqlnd openssl pcntl pcre pdo pdo_mysql pdo_pgsql pdo_sqlite pgsql phar posix random readline reflection session shmop
	simplexml sockets sodium spl sqlite3 standard sysvmsg sysvsem sysvshm tokenizer xml xmlreader xmlwriter xsl zend-opcache opcache zip zlib `

// packaged are the other ones, as Debian trixie has them: an extension is called as its package but for those that
// come together in one.
const packaged = ` amqp apcu ast bz2 dba ds enchant excimer gearman gmagick gmp gnupg http igbinary imagick inotify ldap
	mailparse maxminddb mcrypt memcache memcached mongodb msgpack oauth odbc pcov pq ps psr raphf redis rrd smbclient snmp soap solr
	ssh2 stomp sybase tidy uopz uploadprogress uuid xdebug xmlrpc yac yaml zmq zstd interbase `

// extensionPackage is the Debian package of an extension: none for one that is there anyway. It is false for one
// that nobody packages.
func extensionPackage(name string) (pkg string, known bool) {
	name = strings.ReplaceAll(strings.ToLower(name), " ", "-")
	if has(builtIn, name) {
		return "", true
	}
	if together := map[string]string{"pdo_odbc": "odbc", "pdo_dblib": "sybase", "pdo_firebird": "interbase"}[name]; together != "" {
		name = together
	}
	if has(packaged, name) {
		return "php" + newest + "-" + name, true
	}
	return "", false
}

func has(list, name string) bool {
	for word := range strings.FieldsSeq(list) {
		if word == name {
			return true
		}
	}
	return false
}
