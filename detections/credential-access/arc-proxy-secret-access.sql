-- /// detection
-- title = "Secrets or settings were read through Azure Arc cluster connect"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1552.007", "T1021"]
-- section = [4]
-- categories = ["kube-audit"]
-- key = ["cluster", "impersonated_username", "resource", "namespace"]
-- suppress = "1d"
-- summary = "{impersonated_username} read ({verb}) {resource} {where} of {cluster} through Azure Arc: {object_name}"
--
-- description = """
-- Cluster connect passes every network rule around the API server: who has the Azure role reads from anywhere, and the log
-- shows the proxy's account acting as the person. impersonation-any and the rules on secrets see the proxy only; this one
-- names the person. The proxy's own namespaces, where its extensions keep Helm releases, are left out. One alert for each
-- person, kind, namespace and day. Only reads that succeeded count. No body is needed. Ask the person; the Azure activity
-- log has the address.
-- """
-- false_positives = [
--   "People who work through Azure Arc every day",
-- ]
-- follow_up = ["impersonation-chains", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    impersonated_username,
    verb,
    resource,
    namespace,
    coalesce('of namespace ' || namespace, 'of all namespaces') AS "where",
    name,
    coalesce(name, '*') AS object_name,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (status_code BETWEEN 200 AND 299 OR status_code = 101)
    AND resource IN ('secrets', 'configmaps')
    AND verb IN ('get', 'list', 'watch')
    AND impersonated_username IS NOT NULL
    AND sa_namespace(username) = 'azure-arc'
    AND NOT listed('system_namespaces', namespace)
