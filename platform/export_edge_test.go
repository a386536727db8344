package platform

// ParseRedirect is for the fuzzer, which is outside.
var ParseRedirect = parseRedirect
