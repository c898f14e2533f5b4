# perdition: what people type. Each target is one or two lines; the work is in swift build, Scripts/ and Tests/.
#
#   make run       a proxy in front of two real mail stores on this machine, until Ctrl-C
#   make test      every test, with what it needs installed first
#   make           the programs, in .build/release
#   make install   PREFIX=/usr DESTDIR=/tmp/package for packagers; UNITDIR=/usr/lib/systemd/system for the systemd units
#   make deb       Debian packages, in .build/deb; make deb-test installs them over the original's, on a clean Debian
#   make docs-test runs the commands of README and docs
#   make lint, make man, make compare, make bench, make fuzz, make fuzz-sessions, make soak, make floods

PREFIX  ?= /usr/local
DESTDIR ?=
SWIFT   ?= swift
BIN      = .build/release
SBIN     = $(DESTDIR)$(PREFIX)/sbin
LIBEXEC  = $(DESTDIR)$(PREFIX)/libexec/perdition
USERBIN  = $(DESTDIR)$(PREFIX)/bin
SHARE    = $(DESTDIR)$(PREFIX)/share
EXAMPLES = $(SHARE)/doc/perdition/examples
# Where shells look for completions. Debian's zsh wants ZSHDIR=/usr/share/zsh/vendor-completions.
ZSHDIR  ?= $(PREFIX)/share/zsh/site-functions
BASHES   = $(SHARE)/bash-completion/completions
ZSHES    = $(DESTDIR)$(ZSHDIR)
FISHES   = $(SHARE)/fish/vendor_completions.d
# Where the systemd units go; empty for nowhere.
UNITDIR ?=

NAMES     = perdition.pop3 perdition.pop3s perdition.imap4 perdition.imap4s perdition.imaps perdition.managesieve
PROVIDERS = perdition-map-gdbm perdition-map-bdb perdition-map-ldap perdition-map-mysql perdition-map-nis \
            perdition-map-postgres perdition-map-regex
# Those that read files: what systemd runs of them has no network.
FILES     = perdition-map-gdbm perdition-map-bdb perdition-map-regex
HELPERS   = perdition-auth-pam
TOOLS     = makegdbm makebdb
MAN       = $(wildcard docs/man/*.[1-9])

# What Debian calls the things we need: to build, to show it (make run), to test it.
BUILD_PACKAGES = libssl-dev libpam0g-dev pkg-config \
                 libgdbm-dev libdb-dev libldap2-dev libmariadb-dev libpq-dev libnsl-dev
RUN_PACKAGES   = dovecot-imapd dovecot-pop3d curl python3
TEST_PACKAGES  = $(RUN_PACKAGES) systemd isync postfix perdition openssl testssl.sh fail2ban man-db strace procps \
                 bash-completion zsh fish dovecot-sieve dovecot-managesieved sieve-connect python3-sievelib \
                 chromium prometheus \
                 slapd ldap-utils mariadb-server postgresql ypserv ypbind-mt yp-tools rpcbind iproute2 perl \
                 perdition-ldap perdition-mysql perdition-postgresql openbsd-inetd libselinux1

# perf, strace and valgrind are for BENCH=--profile.
BENCH_PACKAGES = nginx-light libnginx-mod-mail dovecot-imapd dovecot-pop3d perdition openssl python3 \
                 gcc libc6-dev binutils strace valgrind linux-perf

APT = apt-get -qq -o APT::Sandbox::User=root

# To make packages, and to try them.
DEB_PACKAGES = debhelper dpkg-dev fakeroot lintian debootstrap

all: build

deps: deps-build deps-test
deps-build:
	@Scripts/deps $(BUILD_PACKAGES)
deps-run:
	@Scripts/deps $(RUN_PACKAGES)
deps-test:
	@Scripts/deps $(TEST_PACKAGES)
deps-deb: deps-build
	@Scripts/deps $(DEB_PACKAGES)
deps-bench:
	@Scripts/deps $(BENCH_PACKAGES)

build: deps-build
	$(SWIFT) build -c release --static-swift-stdlib

run: build deps-run
	@exec Scripts/demo --bin $(BIN)

# TESTS=Integration (a regular expression) runs some of them.
test: deps build
	Scripts/test $(SWIFT) test --experimental-maximum-parallelization-width 4 $(if $(TESTS),--filter '$(TESTS)')

lint: deps-build
	$(SWIFT) format lint --strict --recursive --parallel Package.swift Sources Tests Fuzz
	Scripts/no-warnings $(SWIFT) build --build-tests

# TIME in seconds for each target; TARGET=sasl for one. See docs/RELIABILITY.md.
fuzz: deps-build
	Scripts/fuzz $(if $(TIME),--time $(TIME)) $(if $(SEED),--seed $(SEED)) $(TARGET)

fuzz-sessions: deps
	Scripts/fuzz-sessions $(if $(TIME),--time $(TIME)) $(if $(SANITIZER),--sanitizer $(SANITIZER))

# MINUTES of mixed mail programs while everything is reloaded, killed and stopped. See docs/RELIABILITY.md.
soak: deps build
	/usr/bin/python3 Tests/Soak/soak.py --bin $(BIN) --minutes $(or $(MINUTES),1) $(SOAK)

# COUNT connections of each kind that come to nothing, and logins beside them.
floods: deps build
	/usr/bin/python3 Tests/Soak/floods.py --bin $(BIN) --count $(or $(COUNT),10000)

man: deps-test
	@for page in $(MAN); do Scripts/no-warnings man --warnings --local-file "$$page" || exit 1; done

compare: deps build
	python3 Tests/Compare/compare.py --ours $(BIN)

# BENCH=--growth and others: see docs/PERFORMANCE.md. As root, with nothing else running.
bench: deps-bench build
	Scripts/bench $(BIN) $(BENCH)

bench-maps: deps build
	Scripts/bench-maps $(BIN)

deb: build deps-deb
	Scripts/deb $(BIN) .build/deb

# As root. Keeps the clean Debian in .build/deb-root.tar for the next time.
deb-test: deb
	Tests/Packages/run --packages .build/deb --cache .build/deb-root.tar

# What the documents say to type, each document on a machine of its own. As root.
docs-test: build deps-test .build/xinetd
	Tests/Documents/run --bin $(BIN)

# Debian lets only one inetd be installed at a time: the other one is unpacked here, for the documents' commands.
.build/xinetd:
	rm -rf $@.d && install -d $@.d
	cd $@.d && { $(APT) download xinetd || { $(APT) update && $(APT) download xinetd; }; }
	dpkg-deb -x $@.d/xinetd_*.deb $@.d/xinetd && mv $@.d/xinetd $@ && rm -rf $@.d

install: build
	install -d $(SBIN) $(LIBEXEC) $(USERBIN)
	install -m 755 $(BIN)/perdition $(BIN)/perditionctl $(SBIN)
	for name in $(NAMES); do ln -sf perdition $(SBIN)/$$name; done
	for name in $(PROVIDERS) $(HELPERS); do install -m 755 $(BIN)/$$name $(LIBEXEC); done
	for name in $(PROVIDERS); do ln -sf ../libexec/perdition/$$name $(SBIN); done
	for name in $(TOOLS); do install -m 755 $(BIN)/$$name $(USERBIN); done
	for page in $(MAN); do install -D -m 644 $$page $(SHARE)/man/man$${page##*.}/$${page##*/}; done
	install -d $(BASHES) $(ZSHES) $(FISHES)
	$(BIN)/perdition --completion bash >$(BASHES)/perdition
	$(BIN)/perdition --completion zsh >$(ZSHES)/_perdition
	$(BIN)/perdition --completion fish >$(FISHES)/perdition.fish
	for name in $(NAMES); do \
	    ln -sf perdition $(BASHES)/$$name; ln -sf perdition.fish $(FISHES)/$$name.fish; done
	for name in $(TOOLS); do \
	    $(BIN)/$$name --generate-completion-script bash | sed '1{/^#!/d}' >$(BASHES)/$$name && \
	    $(BIN)/$$name --generate-completion-script zsh >$(ZSHES)/_$$name && \
	    $(BIN)/$$name --generate-completion-script fish >$(FISHES)/$$name.fish || exit 1; done
	install -d $(EXAMPLES) && cp -R docs/examples/. $(EXAMPLES)
	sed -i -e 's|/usr/sbin/perdition|$(PREFIX)/sbin/perdition|' -e 's|:-/usr/sbin}|:-$(PREFIX)/sbin}|' \
	    $(EXAMPLES)/inetd.conf $(EXAMPLES)/init.d/* $(EXAMPLES)/xinetd.d/*
	$(if $(UNITDIR),Scripts/units --prefix $(PREFIX) --files "$(FILES)" --libexec $(LIBEXEC) \
	    $(DESTDIR)$(UNITDIR) $(PROVIDERS))

uninstall:
	cd $(SBIN) && rm -f perdition perditionctl $(NAMES) $(PROVIDERS)
	cd $(LIBEXEC) && rm -f $(PROVIDERS) $(HELPERS) perdition-service && rmdir $(LIBEXEC)
	cd $(USERBIN) && rm -f $(TOOLS)
	for page in $(MAN); do rm -f $(SHARE)/man/man$${page##*.}/$${page##*/}; done
	cd $(BASHES) && rm -f perdition $(NAMES) $(TOOLS)
	cd $(ZSHES) && rm -f $(addprefix _,perdition $(TOOLS))
	cd $(FISHES) && rm -f $(addsuffix .fish,perdition $(NAMES) $(TOOLS))
	rm -rf $(EXAMPLES)
	$(if $(UNITDIR),cd $(DESTDIR)$(UNITDIR) && rm -f perdition@.service perdition@*.socket perdition-map-*@.s*)

clean:
	rm -rf .build .build-*

.PHONY: all deps deps-build deps-run deps-test deps-deb deps-bench build deb deb-test docs-test run test lint fuzz fuzz-sessions soak floods \
        man compare bench bench-maps install uninstall clean
