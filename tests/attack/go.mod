module authurl/tests/attack

go 1.26.0
