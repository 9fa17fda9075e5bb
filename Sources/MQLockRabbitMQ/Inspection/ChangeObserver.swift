import MQLock

/// Watches one name: asks its contenders to announce changes, repeats that before they forget it, and reports the
/// changes in order.
struct ChangeObserver: Sendable {
    let settings: SessionSettings
    let startupTimeout: Duration?
    let backoff: GrowingDelay
    let name: LockName

    private enum Event: Sendable {
        case heard(AskingConnection.Event)
        /// A round is over, and the next question is due.
        case round(Int)
        /// New contenders have come since the last question.
        case newcomers
        /// The wait for the end of the previous hold is over.
        case settle
    }

    /// How often contenders are asked again, and for how long they announce changes after that.
    private static let round = Duration.seconds(5)
    private static let watch = 15
    /// The shortest time between questions because of newcomers: with a thousand newcomers, all would answer a thousand
    /// times.
    private static let spacing = Duration.milliseconds(200)
    private static let patience = Duration.milliseconds(300)

    /// Returns when the task is cancelled.
    func run(_ tell: (LockChange) -> Void) async throws(LockError) {
        _ = try ObjectNames(name, vhost: settings.endpoint.vhost)
        var observation = Observation()
        let start = ContinuousClock.now
        var wasConnected = false
        var attempt = 0
        while !Task.isCancelled {
            let (events, continuation) = AsyncStream.makeStream(
                of: Event.self, bufferingPolicy: .bufferingNewest(10_000))
            let (heard, inner) = AsyncStream.makeStream(
                of: AskingConnection.Event.self, bufferingPolicy: .bufferingNewest(10_000))
            let relay = Task { for await event in heard { continuation.yield(.heard(event)) } }
            defer { relay.cancel() }
            let connection = try AskingConnection(settings, events: inner)
            do throws(LockError) {
                try await connection.open(observing: name)
                wasConnected = true
                attempt = 0
                try await follow(connection, events, continuation, &observation, tell)
            } catch {
                await connection.close()
                let isUnreachable = error.code == .unreachable
                let isLate = startupTimeout.map { start.after($0) <= .now } ?? false
                guard isUnreachable, wasConnected || !isLate else { throw error }
            }
            await connection.close()
            attempt += 1
            try? await Task.sleep(for: backoff.delay(before: attempt), clock: .continuous)
        }
    }

    /// Runs until the connection ends, which throws, or the task is cancelled.
    private func follow(
        _ connection: AskingConnection, _ events: AsyncStream<Event>, _ continuation: AsyncStream<Event>.Continuation,
        _ observation: inout Observation, _ tell: (LockChange) -> Void
    ) async throws(LockError) {
        var rounds = 0
        var asked = ContinuousClock.now
        var willAsk = false
        // During an alarm the broker does not read our questions, so a missing answer means nothing.
        var isBlocked = false
        func ask() async {
            asked = .now
            if !isBlocked { _ = await connection.ask(.watch(seconds: Self.watch), of: name) }
        }
        continuation.yield(.round(0))
        for await event in events {
            var changes: [LockChange] = []
            switch event {
            case .round(let number):
                if number > 0, !isBlocked { changes = observation.endRound() }
                rounds += 1
                await ask()
                Self.later(Self.round, .round(rounds), continuation)
            case .newcomers:
                willAsk = false
                await ask()
            case .settle: changes = observation.settle()
            case .heard(.answered(_, .here(let contender))): changes = observation.answered(contender)
            case .heard(.answered(_, .changed(let change))): changes = observation.announced(change)
            case .heard(.hello):
                guard !willAsk else { break }
                willAsk = true
                let due = asked.after(Self.spacing)
                Self.later(max(.zero, ContinuousClock.now.duration(to: due)), .newcomers, continuation)
            case .heard(.blocked(let reason)): isBlocked = reason != nil
            case .heard(.ended(let error)): throw error
            case .heard(.answered), .heard(.unheard): break
            }
            changes.forEach(tell)
            if observation.isUnsettled { Self.later(Self.patience, .settle, continuation) }
        }
    }

    private static func later(_ delay: Duration, _ event: Event, _ continuation: AsyncStream<Event>.Continuation) {
        Task {
            try? await Task.sleep(for: delay, clock: .continuous)
            continuation.yield(event)
        }
    }
}
