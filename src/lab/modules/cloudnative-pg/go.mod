module lotse.invalid/lab/cloudnative-pg

go 1.26.6

require github.com/cloudnative-pg/cloudnative-pg v1.30.1
