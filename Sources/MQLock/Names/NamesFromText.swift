// Every entry point that takes a name also takes text, such as `"customer/\(id)"`: each of these makes a ``LockName``
// from the text and calls the function that it is named after. They are disfavored, so a literal stays a `LockName`,
// which needs no `try`. If a name is used often, make it once.

extension LockProvider {
    /// As ``acquire(_:within:)``.
    /// - Throws: ``LockError`` as that, and with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    public func acquire(
        _ name: some StringProtocol, within limit: Duration? = nil
    ) async throws(LockError) -> HeldLock {
        try await acquire(LockName(name), within: limit)
    }

    /// As ``tryAcquire(_:)``.
    /// - Throws: ``LockError`` as that, and with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    public func tryAcquire(_ name: some StringProtocol) async throws(LockError) -> HeldLock? {
        try await tryAcquire(LockName(name))
    }

    /// As ``withLock(_:within:_:)-(LockName,_,_)``.
    /// - Throws: as that, and ``LockError`` with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    public func withLock<R: Sendable>(
        _ name: some StringProtocol, within limit: Duration? = nil,
        _ body: @escaping @Sendable (Lease) async throws -> R
    ) async throws -> R {
        try await withLock(LockName(name), within: limit, body)
    }

    /// As ``withCheckedLock(_:within:_:)-(LockName,_,_)``.
    /// - Throws: as that, and ``LockError`` with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    nonisolated(nonsending) public func withCheckedLock<R>(
        _ name: some StringProtocol, within limit: Duration? = nil,
        _ body: nonisolated(nonsending) (Lease) async throws -> R
    ) async throws -> R {
        try await withCheckedLock(LockName(name), within: limit, body)
    }
}

extension LockProvider {
    /// As ``withLock(_:within:least:_:)-(LockName,_,_,_)``.
    /// - Throws: as that, and ``LockError`` with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    public func withLock<R: Sendable>(
        _ name: some StringProtocol, within limit: Duration? = nil, least: Duration,
        _ body: @escaping @Sendable (Lease) async throws -> R
    ) async throws -> R {
        try await withLock(LockName(name), within: limit, least: least, body)
    }
}

extension MarkKeeping {
    /// As ``once(_:for:within:marksFailures:_:)-(LockName,_,_,_,_)``.
    /// - Throws: as that, and ``LockError`` with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    public func once<R: Sendable>(
        _ name: some StringProtocol, for period: Period, within limit: Duration? = nil, marksFailures: Bool = false,
        _ body: @escaping @Sendable (Lease) async throws -> R
    ) async throws -> OnceResult<R> {
        try await once(LockName(name), for: period, within: limit, marksFailures: marksFailures, body)
    }

    /// As ``schedule(_:_:missed:marksFailures:_:onEvent:)-(LockName,_,_,_,_,_)``.
    /// - Throws: ``LockError`` as that, and with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    public func schedule(
        _ name: some StringProtocol, _ schedule: Schedule, missed: MissedTicks = .skip, marksFailures: Bool = false,
        _ body: @escaping @Sendable (Tick) async throws -> Void,
        onEvent: @escaping @Sendable (ScheduleEvent) -> Void = { _ in }
    ) async throws {
        let name = try LockName(name)
        try await self.schedule(name, schedule, missed: missed, marksFailures: marksFailures, body, onEvent: onEvent)
    }

    /// As ``marks(of:within:)-(LockName,_)``.
    /// - Throws: as that, and ``LockError`` with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    public func marks(of name: some StringProtocol, within limit: Duration? = nil) async throws(LockError) -> [DoneMark]
    {
        try await marks(of: LockName(name), within: limit)
    }

    /// As ``write(_:of:within:)-(_,LockName,_)``.
    /// - Throws: ``LockError`` as that, and with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    public func write(
        _ mark: DoneMark, of name: some StringProtocol, within limit: Duration? = nil
    ) async throws(LockError) {
        try await write(mark, of: LockName(name), within: limit)
    }
}

extension LockProvider {
    /// As ``withLocks(_:within:_:)-(Sequence<LockName>,_,_)``.
    /// - Throws: as that, and ``LockError`` with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    public func withLocks<R: Sendable>(
        _ names: some Sequence<some StringProtocol>, within limit: Duration? = nil,
        _ body: @escaping @Sendable (MultiLease) async throws -> R
    ) async throws -> R {
        try await MultiLock(names, on: self).withLock(within: limit, body)
    }
}

extension MultiLock {
    /// As ``init(_:on:)-(Sequence<LockName>,_)``.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    public init(_ names: some Sequence<some StringProtocol>, on provider: any LockProvider) throws(LockError) {
        self.init(try LockName.all(names), on: provider)
    }
}

extension MultiLease {
    /// As ``subscript(_:)-(LockName)``; nil for text that is no name, too.
    @_disfavoredOverload
    public subscript(_ name: some StringProtocol) -> Lease? {
        (try? LockName(name)).flatMap { self[$0] }
    }
}

extension ReentrantLock {
    /// As ``init(_:on:)-(LockName,_)``.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    public init(_ name: some StringProtocol, on provider: any LockProvider) throws(LockError) {
        self.init(try LockName(name), on: provider)
    }
}

extension StripedLocks {
    /// As ``init(_:slots:on:)-(LockName,_,_)``.
    /// - Throws: ``LockError`` as that, and with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    public init(_ prefix: some StringProtocol, slots: Int, on provider: any LockProvider) throws(LockError) {
        try self.init(LockName(prefix), slots: slots, on: provider)
    }
}

extension Semaphore {
    /// As ``init(_:permits:on:)-(LockName,_,_)``.
    /// - Throws: ``LockError`` as that.
    @_disfavoredOverload
    public convenience init(
        _ name: some StringProtocol, permits: Int, on provider: any LockProvider
    ) throws(LockError) {
        try self.init(LockName(name), permits: permits, on: provider)
    }
}

extension ReadWriteLock {
    /// As ``init(_:readers:slots:on:)-(LockName,_,_,_)``.
    /// - Throws: ``LockError`` as that.
    @_disfavoredOverload
    public convenience init(
        _ name: some StringProtocol, readers: Int = 16, slots: Int? = nil, on provider: any LockProvider
    ) throws(LockError) {
        try self.init(LockName(name), readers: readers, slots: slots, on: provider)
    }
}

extension LeaderElection {
    /// As ``init(_:on:inspector:owner:settings:clock:)-(LockName,_,_,_,_,_)``.
    /// - Throws: ``LockError`` as that, and with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    public convenience init(
        _ name: some StringProtocol, on provider: any LockProvider, inspector: (any LockInspector)? = nil,
        owner: String = "", settings: ElectionSettings = .init(), clock: any LockClock = SystemLockClock()
    ) throws(LockError) {
        try self.init(
            LockName(name), on: provider, inspector: inspector, owner: owner, settings: settings, clock: clock)
    }
}

extension LockInspector {
    /// As ``view(_:within:)``.
    /// - Throws: ``LockError`` as that, and with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    public func view(
        _ name: some StringProtocol, within limit: Duration = .seconds(2)
    ) async throws(LockError) -> LockView {
        try await view(LockName(name), within: limit)
    }

    /// As ``changes(of:)``.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    public func changes(
        of name: some StringProtocol
    ) throws(LockError) -> AsyncThrowingStream<LockChange, any Error> {
        changes(of: try LockName(name))
    }

    /// As ``askToYield(_:token:within:)``.
    /// - Throws: ``LockError`` as that, and with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    public func askToYield(
        _ name: some StringProtocol, token: FencingToken, within limit: Duration = .seconds(5)
    ) async throws(LockError) -> YieldAnswer {
        try await askToYield(LockName(name), token: token, within: limit)
    }
}

extension FenceGate {
    /// As ``withAdmission(_:for:_:)``.
    /// - Throws: as that, and ``LockError`` with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    public func withAdmission<Result>(
        _ token: FencingToken, for name: some StringProtocol, _ write: () throws -> Result
    ) throws -> Result {
        try withAdmission(token, for: LockName(name), write)
    }

    /// As ``admit(_:for:)-(_,LockName)``.
    /// - Throws: ``LockError`` as that, and with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    public func admit(_ token: FencingToken, for name: some StringProtocol) throws(LockError) {
        try admit(token, for: LockName(name))
    }

    /// As ``highest(for:)``.
    /// - Throws: ``LockError`` as that, and with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    public func highest(for name: some StringProtocol) throws(LockError) -> FencingToken? {
        try highest(for: LockName(name))
    }
}

extension FenceStamp {
    /// As ``init(name:token:owner:)-(LockName,_,_)``.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    public init(name: some StringProtocol, token: FencingToken, owner: String) throws(LockError) {
        self.init(name: try LockName(name), token: token, owner: owner)
    }
}

extension LockMetrics.NameLabel {
    /// As ``only(_:)-(Sequence<LockName>)``.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    public static func only(_ names: some Sequence<some StringProtocol>) throws(LockError) -> Self {
        only(try LockName.all(names))
    }
}

extension LockError {
    /// As ``staleToken(_:name:)-(_,LockName)``.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidName``.
    @_disfavoredOverload
    public static func staleToken(
        _ refusal: FenceRefusal, name: some StringProtocol
    ) throws(LockError) -> LockError {
        staleToken(refusal, name: try LockName(name))
    }
}

extension LockName {
    fileprivate static func all(_ texts: some Sequence<some StringProtocol>) throws(LockError) -> [Self] {
        var names: [Self] = []
        for text in texts { names.append(try Self(text)) }
        return names
    }
}
