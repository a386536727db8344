package router_test

func playInstance() {}
