import MQLock

/// The timers of one owner on a loop, each under a name; the owner stops them when it ends. Starting one again replaces
/// it. A timer's body must hold its owner weakly, or stop when the owner stops.
final class Timers<Name: Hashable> {
    private let loop: EventLoop
    private var running: [Name: TimerID] = [:]

    init(_ loop: EventLoop) { self.loop = loop }

    func start(_ name: Name, at deadline: ContinuousClock.Instant, _ body: @escaping () -> Void) {
        stop(name)
        running[name] = loop.schedule(at: deadline) { [weak self] in
            self?.running[name] = nil
            body()
        }
    }

    func start(_ name: Name, after delay: Duration, _ body: @escaping () -> Void) {
        start(name, at: .now.after(delay), body)
    }

    func isRunning(_ name: Name) -> Bool { running[name] != nil }

    func stop(_ name: Name) {
        if let timer = running.removeValue(forKey: name) { loop.cancel(timer) }
    }

    func stopAll() {
        for timer in running.values { loop.cancel(timer) }
        running = [:]
    }
}
