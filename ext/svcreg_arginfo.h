/* This is a generated file, edit the .stub.php file instead.
 * Stub hash: 9e157f1f86af9ced45755b1bf2ecb1adb18b5a68 */

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_svcreg_ready, 0, 0, _IS_BOOL, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_svcreg_unready, 0, 1, _IS_BOOL, 0)
	ZEND_ARG_TYPE_INFO(0, reason, IS_STRING, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_svcreg_status, 0, 0, IS_ARRAY, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_svcreg_node, 0, 0, IS_STRING, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_svcreg_pool, 0, 0, IS_STRING, 1)
ZEND_END_ARG_INFO()


ZEND_FUNCTION(svcreg_ready);
ZEND_FUNCTION(svcreg_unready);
ZEND_FUNCTION(svcreg_status);
ZEND_FUNCTION(svcreg_node);
ZEND_FUNCTION(svcreg_pool);


static const zend_function_entry ext_functions[] = {
	ZEND_FE(svcreg_ready, arginfo_svcreg_ready)
	ZEND_FE(svcreg_unready, arginfo_svcreg_unready)
	ZEND_FE(svcreg_status, arginfo_svcreg_status)
	ZEND_FE(svcreg_node, arginfo_svcreg_node)
	ZEND_FE(svcreg_pool, arginfo_svcreg_pool)
	ZEND_FE_END
};
