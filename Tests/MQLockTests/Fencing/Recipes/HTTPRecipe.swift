import MQLock

/// A PUT of a resource that `lock` protects, with the writer's token in the header `MQLock-Fence`.
/// - Parameter headers: by their names in lower case.
/// - Returns: the status of the response.
func put(
    _ body: String, headers: [String: String], lock: LockName, gate: some FenceGate, store: (String) throws -> Void
) -> Int {
    // 428 Precondition Required: a writer without a token knows nothing of the lock.
    guard let text = headers["mqlock-fence"] else { return 428 }
    guard let token = FencingToken(text) else { return 400 }
    do {
        try gate.withAdmission(token, for: lock) { try store(body) }
        return 204
    } catch let error as LockError where error.code == .staleToken {
        return 412  // Precondition Failed: somebody else has held the lock since
    } catch {
        return 503  // not written, or not known to be: the same token may try again
    }
}
