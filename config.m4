PHP_ARG_ENABLE([svcreg],
  [whether to enable svcreg],
  [AS_HELP_STRING([--enable-svcreg],
    [Register PHP-FPM pools with Consul and answer health probes])],
  [yes])

PHP_ARG_ENABLE([svcreg-dev],
  [whether to treat compiler warnings of svcreg as errors],
  [AS_HELP_STRING([--enable-svcreg-dev],
    [svcreg: warnings are errors])],
  [no], [no])

PHP_ARG_WITH([svcreg-helper],
  [where fpm-health is installed],
  [AS_HELP_STRING([--with-svcreg-helper=FILE],
    [svcreg: the installed fpm-health [PREFIX/sbin/fpm-health]])],
  [no], [no])

if test "$PHP_SVCREG" != "no"; then
  svcreg_version=`cat "$abs_srcdir/VERSION"`
  svcreg_prefix=$prefix
  test "$svcreg_prefix" = NONE && svcreg_prefix=/usr/local
  svcreg_helper=$PHP_SVCREG_HELPER
  case $svcreg_helper in no|yes|'') svcreg_helper=$svcreg_prefix/sbin/fpm-health ;; esac

  AC_DEFINE_UNQUOTED([SVCREG_VERSION], ["$svcreg_version"], [svcreg's version])
  AC_DEFINE_UNQUOTED([SVCREG_HELPER], ["$svcreg_helper"], [where fpm-health is installed])

  svcreg_cflags="-std=gnu11 -Wall -Wextra -Wshadow -Wno-unused-parameter -fvisibility=hidden"
  if test "$PHP_SVCREG_DEV" != "no"; then
    svcreg_cflags="$svcreg_cflags -Werror"
  fi

  for flag in -fstack-protector-strong "-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3" -fstack-clash-protection -fcf-protection=full -mbranch-protection=standard; do
    AX_CHECK_COMPILE_FLAG([$flag -Werror], [svcreg_cflags="$svcreg_cflags $flag"], [], [], [AC_LANG_PROGRAM([#include <stdlib.h>])])
  done
  SVCREG_SHARED_LIBADD="-Wl,-z,relro,-z,now,-z,noexecstack"
  PHP_SUBST([SVCREG_SHARED_LIBADD])

  PHP_NEW_EXTENSION([svcreg],
    [ext/svcreg.c ext/settings.c ext/fpm_args.c ext/fpm_config.c ext/helper_config.c ext/helper.c ext/master.c ext/master_signals.c ext/identity.c ext/say.c ext/worker.c ext/status.c board/board.c],
    [$ext_shared],, [$svcreg_cflags -DZEND_ENABLE_STATIC_TSRMLS_CACHE=1])
  PHP_ADD_BUILD_DIR([$ext_builddir/ext])
  PHP_ADD_BUILD_DIR([$ext_builddir/board])
  PHP_ADD_INCLUDE([$ext_srcdir/ext])
  PHP_ADD_INCLUDE([$ext_srcdir/board])
  PHP_ADD_MAKEFILE_FRAGMENT
fi
