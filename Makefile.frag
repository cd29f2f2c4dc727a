# fpm-health is built and installed together with the extension.
all: build-fpm-health
install: install-fpm-health

.PHONY: build-fpm-health install-fpm-health
build-fpm-health:
	$(MAKE) -C $(srcdir)/fpm-health PREFIX=$(prefix)

install-fpm-health: build-fpm-health
	$(MAKE) -C $(srcdir)/fpm-health install PREFIX=$(prefix) DESTDIR=$(INSTALL_ROOT)
