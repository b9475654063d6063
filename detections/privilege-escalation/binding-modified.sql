-- /// detection
-- title = "The subjects of a role binding were changed"
-- severity = "low"
-- status = "stable"
-- attack = ["T1098.006"]
-- section = [1]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} changed ({verb}) {resource} {name} of {cluster}, now {role} for {subjects}, from {client_ip}"
--
-- description = """
-- Adding oneself to a binding that exists is quieter than making one. A patch counts when it names the subjects or the
-- role; changes of labels and annotations do not. An update always does, because what it changed is not in the log. No
-- body is needed: without one (level Metadata) every change counts, and role and subjects are empty. Dry runs do not.
-- Compare the subjects with those of the day before.
-- """
-- false_positives = [
--   "Onboarding into an existing group binding; operators that update their bindings: add those to lists/rbac_managers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    role_ref_name(object) AS role,
    array_to_string(subject_names(object), ', ') AS subjects,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('update', 'patch')
    AND resource IN ('clusterrolebindings', 'rolebindings')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('rbac_managers', username)
    AND NOT listed('cleanup_controllers', username)
    AND (
        verb = 'update'
        OR request_object IS NULL
        OR regexp_like(request_object, '"(subjects|roleRef)"|/subjects|/roleRef')
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
