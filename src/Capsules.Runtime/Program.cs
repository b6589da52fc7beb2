Console.WriteLine("capsule 0.1.0");
