module lotse.invalid/lab/plugin-barman-cloud

go 1.26.4

require github.com/cloudnative-pg/plugin-barman-cloud v0.15.0
