-- /// detection
-- title = "An attack tool was started as a pod"
-- severity = "high"
-- status = "stable"
-- attack = ["T1610", "T1588.002", "T1595"]
-- section = [3]
-- key = ["cluster", "username", "namespace", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} put an attack tool into {resource} {namespace}/{name} of {cluster}: {images}, from {client_ip}"
--
-- description = """
-- Kali, peirates, kube-hunter, botb, deepce, nsenter and the like break out of pods and go through clusters; no
-- application needs them. Told by the image's name, so a copy under another name is not seen. Every workload kind counts,
-- on create, update and patch, with init and ephemeral containers; what the built-in controllers make from it does not,
-- and dry runs do not. Tools that are in daily use for debugging or builds (netshoot, docker:dind, kubescape) are not
-- among the names; audits of your own go into lists/security_tools.csv. At level Metadata, or when the body was cut before
-- the containers, no image is known and the rule stays silent. Ask the person, and look at the pod's service account.
-- """
-- false_positives = [
--   "kube-bench and penetration tests of your own security team: add namespace/name to lists/security_tools.csv",
-- ]
-- follow_up = ["new-images", "object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    array_to_string(container_images(object), ', ') AS images,
    pod_service_account(object) AS service_account,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource IN (
        'pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets',
        'jobs', 'cronjobs', 'replicationcontrollers', 'podtemplates'
    )
    AND coalesce(subresource, 'ephemeralcontainers') = 'ephemeralcontainers'
    AND NOT (resource IN ('pods', 'replicasets', 'jobs') AND listed('workload_controllers', username))
    AND regexp_like(
        lower(array_to_string(container_images(object), ' ')),
        '(^|[ /])([a-z0-9_.-]*-)?(kali(-linux|-rolling|linux)?|parrotsec|parrot-security|peirates|kube-?hunter|kube-?bench|kube-recon'
        || '|kubeletmein|break-out-the-box|botb|amicontained|deepce|kdigger|metasploit(-framework)?|sliver|mythic|nsenter1?)([:@/ _-]|$)'
    )
    AND NOT listed('security_tools', concat(namespace, '/', name))
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
