-- /// detection
-- title = "A role in use was raised to full control"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1098.006"]
-- section = [1]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} gave {resource} {name} of {cluster} every verb on every resource ({verb}), for all who are bound to it, from {client_ip}"
--
-- description = """
-- A role that exists, and may have dozens of subjects, now allows any verb on any resource: they are all cluster-admin (or
-- own the namespace), and no binding was written. Narrower than role-wildcard, which fires with it and also on creates and
-- single stars. A patch counts when it names the rules, an update always; dry runs do not. A patch holds only the change,
-- so the role's own rules are read from the response: without it (level Request) only a patch that itself brings such a
-- rule fires, and without bodies (level Metadata, or cut) none. Put the old rules back, then look at what the subjects did
-- meanwhile.
-- """
-- false_positives = [
--   "Operators whose own role is all stars, when they are upgraded by hand: have them narrowed, or add the installer to lists/rbac_managers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline", "cluster-admins-by-bindings"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    array_to_string(role_verbs(object), ', ') AS verbs,
    array_to_string(role_resources(object), ', ') AS resources,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('update', 'patch')
    AND resource IN ('clusterroles', 'roles')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('rbac_managers', username)
    AND -- only stars allow what has no name
    role_grants(object, 'any-verb', 'any-resource')
    AND (verb <> 'patch' OR request_object IS NULL OR regexp_like(request_object, '"rules"|/rules'))
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
