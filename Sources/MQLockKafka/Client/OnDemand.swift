/// A client that is created when it is first needed, and again after it was dropped. Belongs to one thread at a time.
struct OnDemand<Client, Failure: Error> {
    private var client: Client?
    private let make: () throws(Failure) -> Client

    init(_ make: @escaping () throws(Failure) -> Client) { self.make = make }

    /// The client, if there is one.
    var existing: Client? { client }

    mutating func ready() throws(Failure) -> Client {
        if let client { return client }
        let new = try make()
        client = new
        return new
    }

    mutating func drop() { client = nil }
}
