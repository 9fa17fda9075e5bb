import MQLock

/// A held lock where a value that cannot be copied cannot be.
actor HeldBox {
    private var held: HeldLock?

    init(_ held: consuming HeldLock) { self.held = consume held }

    func release() async throws {
        guard let held = held.take() else { return }
        try await held.release()
    }
}
