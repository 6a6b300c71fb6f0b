module eft/loadtests/tus-load

go 1.24
