import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    @Suite struct AdministrationTests {}
}

extension LiveBrokerTests.AdministrationTests {
    /// One that may not be deleted does not keep the others, and is told; one that is not there is no error.
    @Test func deletesWhatItCan() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let locks = try broker.locks()
            try await locks.acquire(name).release()
            await locks.shutdown()
            let objects = try broker.objects(name)
            let administration = try BrokerAdministration(uri: broker.uri)
            #expect(administration.version != nil)
            #expect(try administration.queues(of: [name]) == objects.all)
            try broker.raw { owner in
                try owner.declare(objects.mend, durable: false, exclusive: true, arguments: [:])
                #expect(throws: LockError.self) {
                    try administration.delete([
                        objects.mend, "mqlock-test-no-such-queue", objects.queue, objects.register,
                    ])
                }
            }
            #expect(try broker.raw { try $0.counts(objects.queue) } == nil)
            #expect(try broker.raw { try $0.counts(objects.register) } == nil)
            try await eventually("the exclusive queue is gone") {
                try broker.raw { try $0.counts(objects.mend) } == nil
            }
            try administration.delete(objects.all)
        }
    }

    @Test func aRefusedLoginIsReportedAsSuch() throws {
        let broker = try LiveBrokerTests.broker()
        #expect {
            try BrokerAdministration(uri: broker.uri.replacing("guest:guest@", with: "guest:wrong@"))
        } throws: {
            ($0 as? LockError)?.code == .accessRefused
        }
    }
}
