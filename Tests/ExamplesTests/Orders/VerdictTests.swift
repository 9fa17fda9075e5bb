import MQLock
import Testing

@testable import ExamplesShared
@testable import OrderWorker

@Suite("what the order worker tells the broker") struct VerdictTests {
    private struct Refusing: LockProvider {
        let capabilities = LockCapabilities(mutex: "refusing")
        let code: LockError.Code

        func acquire(_ name: LockName, within limit: Duration?) async throws(LockError) -> HeldLock {
            throw LockError(code, "as the test wants")
        }

        func tryAcquire(_ name: LockName) async throws(LockError) -> HeldLock? {
            throw LockError(code, "as the test wants")
        }
    }

    private func worker(_ code: LockError.Code) throws -> Worker {
        Worker(
            name: "worker", stripes: try StripedLocks("test", slots: 16, on: Refusing(code: code)),
            ledger: Ledger(directory: "none"), work: .zero, standsStill: false)
    }

    private func delivery(_ text: String) -> Delivery {
        Delivery(tag: 1, isRedelivered: false, body: Array(text.utf8))
    }

    private let order = #"{"customer":"anna","number":1,"amount":1}"#

    @Test(
        "an order whose lock is lost or not obtained goes back",
        arguments: [LockError.Code.lost, .timedOut, .unreachable])
    func putBack(code: LockError.Code) async throws {
        #expect(try await worker(code).verdict(on: delivery(order)) == .putBack)
    }

    @Test("an error that will not pass by itself ends the worker")
    func ends() async throws {
        await #expect(throws: LockError.self) { try await worker(.accessRefused).verdict(on: delivery(order)) }
    }

    @Test("what is no order is thrown away")
    func foreignMessage() async throws { #expect(try await worker(.lost).verdict(on: delivery("?")) == .throwAway) }
}
