# A thread-safe PHP for script/test: Debian has none, so it is compiled here, from Debian's source package and without extensions.
ARG TEST=svcreg/test
FROM ${TEST}

RUN sed -n 's#^deb \(.*/debian\) .*#deb-src \1 bookworm main#p' /etc/apt/sources.list > /etc/apt/sources.list.d/source.list \
 && apt-install dpkg-dev libffi-dev xz-utils \
 && mkdir /tmp/php && cd /tmp/php \
 && apt-get -qq update && apt-get -qq source --download-only php8.2 \
 && tar xf php8.2_*.orig.tar.xz --strip-components=1 \
 && ./configure --quiet --prefix=/opt/php --disable-all --enable-zts --enable-fpm --with-ffi CFLAGS="-O1 -g0" \
 && make -s -j2 && make -s install && rm -rf /tmp/php /var/lib/apt/lists/*

ENV PATH=/opt/php/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    SVCREG_FPM_BINARY=/opt/php/sbin/php-fpm
