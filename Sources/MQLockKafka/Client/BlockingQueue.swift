import Dispatch
import Synchronization

/// A thread for calls that block, those of librdkafka above all: one after the other, in the order in which they come.
///
/// Swift's own threads are only as many as there are processors: a call that blocks one keeps other tasks waiting.
struct BlockingQueue: Sendable {
    private let queue: DispatchQueue

    /// - Parameter purpose: shown to people who look at threads.
    init(_ purpose: String) { queue = DispatchQueue(label: "mqlock.kafka.\(purpose)") }

    /// Runs `body`, and does not wait for it.
    func start(_ body: @escaping @Sendable () -> Void) { queue.async(execute: body) }

    /// Runs `body`, and waits until it has ended. Cancellation ends nothing by itself: it is what the body can ask for.
    func run<Answer: Sendable, Failure: Error>(
        _ body: @escaping @Sendable (Cancellation) throws(Failure) -> Answer
    ) async throws(Failure) -> Answer {
        let cancellation = Cancellation()
        let result: Result<Answer, Failure> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                queue.async {
                    do throws(Failure) {
                        continuation.resume(returning: .success(try body(cancellation)))
                    } catch {
                        continuation.resume(returning: .failure(error))
                    }
                }
            }
        } onCancel: {
            cancellation.cancel()
        }
        return try result.get()
    }
}

/// Says to work on another thread that nobody waits for it any more.
final class Cancellation: Sendable {
    private let flag = Atomic(false)

    var isCancelled: Bool { flag.load(ordering: .acquiring) }

    func cancel() { flag.store(true, ordering: .releasing) }
}
